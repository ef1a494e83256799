import assert from "node:assert/strict";
import fc from "fast-check";
import { writeAll } from "../../lib/core/mod.ts";
import type { SmuxSession, SmuxStream } from "../../lib/smux/mod.ts";
import { settle } from "../support/fake_clock.ts";
import { cutting, pattern } from "./bytes.ts";
import { sessionPair } from "./pair.ts";

/** What one end does with a stream. */
interface End {
  /** Sizes of the writes. */
  writes: number[];
  /** Then: end the output and read on, or abort. */
  then: "end" | "abort";
  /** Size of the reads. */
  readSize: number;
  /** Bytes after which the reader has had enough and closes; undefined to read to the end. */
  enough: number | undefined;
  /** Turns of the event loop between two steps. */
  stall: number;
}

/** What an end has seen: the naive model is that the other end's must match. */
interface Seen {
  written: number;
  attempted: number;
  /** It has begun to end its output; an abort by the other end may hide how that went. */
  ending: boolean;
  ended: boolean;
  read: number;
  outcome: "end of input" | "error" | "closed";
}

/** Both ends of a stream; sizes are small, or a hundred times that. */
const plan = fc.constantFrom(1, 100).chain((scale) => {
  const size = (max: number, min = 0) => fc.integer({ min, max }).map((n) => n * scale);
  const end = fc.record({
    writes: fc.array(size(400), { maxLength: 8 }),
    then: fc.constantFrom("end" as const, "end" as const, "end" as const, "abort" as const),
    readSize: size(500, 1),
    enough: fc.option(size(1000), { nil: undefined, freq: 4 }),
    stall: fc.nat(3),
  });
  return fc.record({
    from: fc.constantFrom<"client" | "server">("client", "server"),
    near: end,
    far: end,
  });
});

const plans = fc.array(plan, { minLength: 1, maxLength: 6 });

/** Plays one end of a stream. The bytes of a direction are the pattern of its seed. */
async function play(stream: SmuxStream, plan: End, writes: number, reads: number): Promise<Seen> {
  const seen: Seen = {
    written: 0,
    attempted: 0,
    ending: false,
    ended: false,
    read: 0,
    outcome: "closed",
  };
  let closed = false;
  const write = async () => {
    for (const size of plan.writes) {
      await settle(plan.stall);
      if (closed) return;
      seen.attempted += size;
      await writeAll(stream, pattern(writes, seen.written, size));
      seen.written += size;
    }
    if (closed) return;
    if (plan.then === "end") {
      seen.ending = true;
      await stream.closeWrite();
      seen.ended = true;
    } else {
      closed = true;
      stream.close();
    }
  };
  const read = async () => {
    const buffer = new Uint8Array(plan.readSize);
    while (plan.enough === undefined || seen.read < plan.enough) {
      const n = await stream.read(buffer);
      if (closed) return;
      if (n === null) {
        seen.outcome = "end of input";
        return;
      }
      const expected = pattern(reads, seen.read, n);
      for (let i = 0; i < n; i++) {
        if (buffer[i] !== expected[i]) assert.fail(`stream ${stream.id}: byte ${seen.read + i}`);
      }
      seen.read += n;
      await settle(plan.stall);
    }
    closed = true;
    stream.close();
  };
  await Promise.all([
    // The writer is told that the reader has gone; that is all it needs to know here.
    write().catch((error) => assert.ok(!(error instanceof assert.AssertionError), error)),
    read().catch((error) => {
      if (error instanceof assert.AssertionError) throw error;
      seen.outcome = "error";
    }),
  ]);
  stream.close();
  return seen;
}

/** What a reader saw must be what the writer did. */
function compare(writer: Seen, reader: Seen): void {
  const facts = JSON.stringify({ writer, reader });
  assert.ok(reader.read <= writer.attempted, facts);
  switch (reader.outcome) {
    case "end of input":
      assert.ok(writer.ending, facts);
      assert.equal(reader.read, writer.written, facts);
      break;
    case "error":
      // Aborted by the writer; every byte that it was told is accepted came before.
      assert.ok(!writer.ended, facts);
      assert.ok(reader.read >= writer.written, facts);
      break;
    case "closed":
      break;
  }
}

interface Waiting {
  plan: End;
  seen: PromiseWithResolvers<Seen>;
  seeds: [number, number];
}

Deno.test("any interleaving of opens, writes, reads, half-closes and aborts keeps every byte", async () => {
  await fc.assert(
    fc.asyncProperty(
      plans,
      fc.nat(),
      fc.integer({ min: 50, max: 40_000 }),
      fc.integer({ min: 1, max: 400_000 }),
      async (list, seed, maxFrameSize, maxStreamBuffer) => {
        using pair = sessionPair(
          { version: 2, maxFrameSize, maxStreamBuffer },
          (conn, number) => cutting(conn, seed + number),
        );
        const far = { client: new Map<number, Waiting>(), server: new Map<number, Waiting>() };
        const serve = async (session: SmuxSession, waiting: Map<number, Waiting>) => {
          for await (const stream of session.accept()) {
            const { plan, seen, seeds } = waiting.get(stream.id)!;
            play(stream, plan, seeds[1], seeds[0]).then(seen.resolve, seen.reject);
          }
        };
        void serve(pair.client, far.client);
        void serve(pair.server, far.server);
        const next = { client: 3, server: 2 };
        await Promise.all(list.map(async ({ from, near, far: other }, i) => {
          await settle(near.stall);
          const seeds: [number, number] = [2 * i, 2 * i + 1];
          const seen = Promise.withResolvers<Seen>();
          far[from === "client" ? "server" : "client"].set(next[from], {
            plan: other,
            seen,
            seeds,
          });
          next[from] += 2;
          const stream = await pair[from].open();
          const [here, there] = await Promise.all([
            play(stream, near, seeds[0], seeds[1]),
            seen.promise,
          ]);
          compare(here, there);
          compare(there, here);
        }));
        await settle();
        assert.deepEqual([pair.client.streams, pair.server.streams], [0, 0]);
        assert.deepEqual([pair.client.buffered, pair.server.buffered], [0, 0]);
      },
    ),
    { numRuns: 100 },
  );
});

Deno.test("full close: requests and answers of any size are whole", async () => {
  const exchange = fc.record({
    request: fc.array(fc.nat(40_000), { minLength: 1, maxLength: 5 }),
    answer: fc.array(fc.nat(40_000), { maxLength: 5 }),
    stall: fc.nat(3),
    readSize: fc.integer({ min: 100, max: 50_000 }),
  });
  await fc.assert(
    fc.asyncProperty(
      fc.array(exchange, { minLength: 1, maxLength: 6 }),
      fc.nat(),
      fc.integer({ min: 50, max: 40_000 }),
      fc.integer({ min: 1, max: 100_000 }),
      async (list, seed, maxFrameSize, maxReceiveBuffer) => {
        using pair = sessionPair(
          { version: 1, maxFrameSize, maxReceiveBuffer },
          (conn, number) => cutting(conn, seed + number),
        );
        const sum = (sizes: number[]) => sizes.reduce((all, size) => all + size, 0);
        const send = async (stream: SmuxStream, sizes: number[], which: number, stall: number) => {
          let at = 0;
          for (const size of sizes) {
            await settle(stall);
            await writeAll(stream, pattern(which, at, size));
            at += size;
          }
        };
        const receive = async (
          stream: SmuxStream,
          which: number,
          { readSize, stall }: { readSize: number; stall: number },
          until = Infinity,
        ) => {
          const buffer = new Uint8Array(readSize);
          let at = 0;
          while (at < until) {
            const n = await stream.read(buffer);
            if (n === null) break;
            assert.deepEqual(buffer.subarray(0, n), pattern(which, at, n));
            at += n;
            await settle(stall);
          }
          return at;
        };
        const served: Promise<void>[] = [];
        const serve = async () => {
          for await (const stream of pair.server.accept()) {
            const i = (stream.id - 3) / 2;
            const { request, answer } = list[i]!;
            served.push((async () => {
              assert.equal(await receive(stream, 2 * i, list[i]!, sum(request)), sum(request));
              await send(stream, answer, 2 * i + 1, list[i]!.stall);
              stream.close();
            })());
          }
        };
        void serve();
        await Promise.all(list.map(async (each, i) => {
          const stream = await pair.client.open();
          await Promise.all([
            send(stream, each.request, 2 * i, each.stall).then(() => stream.closeWrite()),
            receive(stream, 2 * i + 1, each).then((n) => assert.equal(n, sum(each.answer))),
          ]);
          stream.close();
        }));
        await Promise.all(served);
        await settle();
        assert.deepEqual([pair.client.streams, pair.server.streams], [0, 0]);
        assert.deepEqual([pair.client.buffered, pair.server.buffered], [0, 0]);
      },
    ),
    { numRuns: 60 },
  );
});
