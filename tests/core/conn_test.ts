import assert from "node:assert/strict";
import fc from "fast-check";
import {
  BytePipe,
  type Conn,
  connPair,
  DenoConn,
  readAll,
  readFull,
  relay,
  writeAll,
} from "../../lib/core/mod.ts";

const utf8 = (text: string) => new TextEncoder().encode(text);
const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

Deno.test("BytePipe hands out what was pushed, whatever the cuts, then the end", async () => {
  await fc.assert(fc.asyncProperty(
    fc.array(fc.uint8Array({ maxLength: 50 }), { maxLength: 20 }),
    fc.integer({ min: 1, max: 64 }),
    async (chunks, size) => {
      const pipe = new BytePipe();
      for (const chunk of chunks) pipe.push(chunk);
      pipe.end();
      const got: number[] = [];
      const buffer = new Uint8Array(size);
      for (;;) {
        const n = await pipe.read(buffer);
        if (n === null) break;
        assert.ok(n >= 1 && n <= size);
        got.push(...buffer.subarray(0, n));
      }
      assert.deepEqual(got, chunks.flatMap((chunk) => [...chunk]));
      assert.equal(pipe.size, 0);
    },
  ));
});

Deno.test("BytePipe gives the bytes before an error, then the error, and nothing after an abort", async () => {
  const pipe = new BytePipe();
  pipe.push(utf8("last words"));
  pipe.end(new Error("broken"));
  const buffer = new Uint8Array(64);
  assert.equal(await pipe.read(buffer), 10);
  await assert.rejects(pipe.read(buffer), /broken/);
  const aborted = new BytePipe();
  aborted.push(utf8("gone"));
  aborted.abort();
  assert.equal(await aborted.read(buffer), null);
});

Deno.test("a write to a full connPair waits for the reader", async () => {
  const [a, b] = connPair(10);
  await writeAll(a, new Uint8Array(10));
  let written = false;
  const writing = writeAll(a, new Uint8Array(5)).then(() => written = true);
  await Promise.resolve();
  assert.equal(written, false);
  assert.equal(await readFull(b, new Uint8Array(10)), true);
  await writing;
  a.close();
  b.close();
});

Deno.test("connPair passes half-close, and close of either end", async () => {
  const [a, b] = connPair();
  await writeAll(a, utf8("question"));
  await a.closeWrite();
  assert.equal(decode(await readAll(b)), "question");
  await writeAll(b, utf8("answer"));
  await b.closeWrite();
  assert.equal(decode(await readAll(a)), "answer");

  const [c, d] = connPair();
  const pending = c.read(new Uint8Array(1));
  d.close();
  assert.equal(await pending, null);
  c.close();
  c.close();
  await assert.rejects(c.write(utf8("x")), Deno.errors.BrokenPipe);
});

Deno.test("readFull() says when the input is too short, readAll() when it is too long", async () => {
  const [a, b] = connPair();
  await writeAll(a, new Uint8Array(3));
  await a.closeWrite();
  assert.equal(await readFull(b, new Uint8Array(4)), false);
  const [c, d] = connPair();
  await writeAll(c, new Uint8Array(11));
  await c.closeWrite();
  await assert.rejects(readAll(d, 10), RangeError);
});

Deno.test("relay() carries both ways, passes half-close on and counts", async () => {
  const [client, a] = connPair(1000);
  const [b, server] = connPair(1000);
  let live = 0;
  const relaying = relay(a, b, { onBytes: (_direction, bytes) => live += bytes });
  const body = crypto.getRandomValues(new Uint8Array(60_000));
  const serving = (async () => {
    const got = await readAll(server);
    await writeAll(server, got);
    await writeAll(server, utf8("!"));
    await server.closeWrite();
  })();
  await writeAll(client, body);
  await client.closeWrite();
  const echoed = await readAll(client);
  assert.deepEqual(echoed.subarray(0, -1), body);
  await serving;
  assert.deepEqual(await relaying, { aToB: 60_000, bToA: 60_001 });
  assert.equal(live, 120_001);
});

Deno.test("relay() ends the output before it closes, but where close() delivers it anyway", async () => {
  const calls: string[] = [];
  const scripted = (name: string, delays: number, lingers?: true): Conn => ({
    read: async () => {
      for (let i = 0; i < delays; i++) await Promise.resolve();
      return null;
    },
    write: (data) => Promise.resolve(data.byteLength),
    closeWrite: () => {
      calls.push(`${name} end`);
      return Promise.resolve();
    },
    close: () => calls.push(`${name} close`),
    ...(lingers && { lingers }),
  });
  await relay(scripted("near", 50), scripted("far", 0));
  assert.deepEqual(calls.splice(0), ["near end", "far end", "near close", "far close"]);
  await relay(scripted("near", 50, true), scripted("far", 0, true));
  assert.deepEqual(calls.splice(0), ["near end", "near close", "far close"]);
});

Deno.test("relay() closes both and reports the first failure", async () => {
  const [client, a] = connPair();
  const failing: Conn = {
    read: () => Promise.reject(new Error("reset")),
    write: (data) => Promise.resolve(data.byteLength),
    closeWrite: () => Promise.resolve(),
    close: () => {},
  };
  const { error } = await relay(a, failing);
  assert.match(String(error), /reset/);
  assert.equal(await client.read(new Uint8Array(1)), null);
});

Deno.test("relay() reads in larger pieces while they are filled, and in small ones again", async () => {
  const KIB = 1024;
  const pieces = [8, 64, 256, 1024, 300, 100, 20, 1, 1, 8, 1].map((kib) => kib * KIB);
  const asked: number[] = [];
  const [near, far] = connPair(1024 * KIB);
  let at = 0;
  const source: Conn = {
    ...near,
    read: (into) => {
      const n = pieces[asked.length];
      asked.push(into.byteLength / KIB);
      if (n === undefined) return Promise.resolve(null);
      assert.ok(n <= into.byteLength, `${n} into ${into.byteLength}`);
      for (let i = 0; i < n; i++) into[i] = at++ * 31;
      return Promise.resolve(n);
    },
  };
  const [a, b] = connPair(1024 * KIB);
  const relayed = relay(source, a);
  far.close();
  const got = await readAll(b);
  await b.closeWrite();
  await relayed;
  assert.deepEqual(asked, [8, 64, 256, 1024, 1024, 1024, 256, 64, 8, 8, 64, 8]);
  assert.equal(got.byteLength, pieces.reduce((sum, n) => sum + n, 0));
  assert.ok(got.every((byte, i) => byte === (i * 31 & 0xff)));
  near.close();
  b.close();
});

Deno.test("relay() ends when its signal says so", async () => {
  const [client, a] = connPair();
  const [b, server] = connPair();
  const abort = new AbortController();
  const relaying = relay(a, b, { signal: abort.signal });
  abort.abort(new Error("stop"));
  assert.match(String((await relaying).error), /stop/);
  assert.equal(await client.read(new Uint8Array(1)), null);
  assert.equal(await server.read(new Uint8Array(1)), null);
});

Deno.test("a DenoConn may be closed twice and half-closed after the peer has left", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const dialing = Deno.connect({ hostname: "127.0.0.1", port: listener.addr.port });
  const accepted = new DenoConn(await listener.accept());
  const conn = new DenoConn(await dialing);
  await writeAll(conn, utf8("hi"));
  await conn.closeWrite();
  assert.equal(decode(await readAll(accepted)), "hi");
  accepted.close();
  accepted.close();
  await accepted.closeWrite();
  assert.equal(await conn.read(new Uint8Array(1)), null);
  conn.close();
});

Deno.test("small writes leave at once, also behind one that is not acknowledged", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const [dialled, accepted] = await Promise.all([
    Deno.connect({ port: listener.addr.port }),
    listener.accept(),
  ]);
  const near = new DenoConn(dialled);
  const far = new DenoConn(accepted);
  const answering = (async () => {
    const pair = new Uint8Array(2);
    while (await readFull(far, pair)) await writeAll(far, pair.subarray(1));
    far.close();
  })();
  const answer = new Uint8Array(1);
  const start = performance.now();
  for (let i = 0; i < 50; i++) {
    await writeAll(near, Uint8Array.of(1));
    await writeAll(near, Uint8Array.of(2));
    assert.ok(await readFull(near, answer));
  }
  // A peer delays its acknowledgement by 40 ms or more: two seconds, if writes waited for it.
  assert.ok(performance.now() - start < 1000);
  near.close();
  await answering;
});
