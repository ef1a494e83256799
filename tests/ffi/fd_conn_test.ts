/**
 * Descriptors as connections, both ways of doing it, on a pair of Unix sockets.
 *
 * @module
 */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import fc from "fast-check";
import { readAll, readFull, writeAll } from "../../lib/core/conn.ts";
import { adoptFd, type FdConn } from "../../ffi/fd_conn.ts";
import { isRecent, pipesWork } from "../../ffi/pipe_conn.ts";
import { reactor } from "../../ffi/reactor.ts";
import { LINUX_REMEDY, NO_DESCRIPTOR, socketPair } from "../support/descriptors.ts";
import { settle } from "../support/fake_clock.ts";

type Via = "pipe" | "socket";

function pair(via: Via): [FdConn, FdConn] {
  const [a, b] = socketPair();
  return [adoptFd(a, { via }), adoptFd(b, { via })];
}

/** Libraries stay open, so they are opened before the checks for leaks begin. */
async function warmUp(via: Via): Promise<void> {
  const [a, b] = pair(via);
  const reading = b.read(new Uint8Array(1));
  await settle();
  await a.write(Uint8Array.of(1));
  await reading;
  await a.closeWrite();
  a.close();
  b.close();
}

/** Lets everything end that {@linkcode FdConn.close} has ended. */
async function quiet(): Promise<void> {
  await settle();
  await reactor().idle();
}

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (data: Uint8Array) => new TextDecoder().decode(data);

/** Sends pseudo-random bytes and returns their hash. */
async function send(conn: FdConn, total: number, seed: number): Promise<string> {
  const hash = createHash("sha256");
  const chunk = new Uint8Array(64 * 1024);
  for (let sent = 0; sent < total; sent += chunk.byteLength) {
    for (let i = 0; i < chunk.byteLength; i += 64) chunk[i] = seed = (seed * 5 + 1) & 0xff;
    hash.update(chunk);
    await writeAll(conn, chunk);
  }
  await conn.closeWrite();
  return hash.digest("hex");
}

async function receive(conn: FdConn): Promise<[bytes: number, hash: string]> {
  const hash = createHash("sha256");
  const buffer = new Uint8Array(100_000);
  let total = 0;
  for (;;) {
    const n = await conn.read(buffer);
    if (n === null) return [total, hash.digest("hex")];
    assert.ok(n > 0);
    hash.update(buffer.subarray(0, n));
    total += n;
  }
}

function test(name: string, via: Via, work: (a: FdConn, b: FdConn) => Promise<void>) {
  Deno.test(`${via}: ${name}`, async () => {
    const [a, b] = pair(via);
    try {
      await work(a, b);
    } finally {
      a.close();
      b.close();
      await quiet();
    }
  });
}

if (LINUX_REMEDY !== "") {
  Deno.test.ignore(`descriptors: ${LINUX_REMEDY}`, () => {});
} else {
  const ways: Via[] = pipesWork() ? ["pipe", "socket"] : ["socket"];
  for (const via of ways) await warmUp(via);
  for (const via of ways) defineTests(via);
}

function defineTests(via: Via): void {
  test("bytes and half-closes pass in both directions", via, async (a, b) => {
    await writeAll(a, bytes("question"));
    await a.closeWrite();
    await a.closeWrite();
    assert.equal(text(await readAll(b)), "question");
    await writeAll(b, bytes("answer"));
    await b.closeWrite();
    assert.equal(text(await readAll(a)), "answer");
    assert.equal(await a.read(new Uint8Array(1)), null);
  });

  test("24 MB each way at once arrive as they were sent", via, async (a, b) => {
    const total = 24 * 1024 * 1024;
    const [sentA, sentB, gotA, gotB] = await Promise.all([
      send(a, total, 1),
      send(b, total, 2),
      receive(a),
      receive(b),
    ]);
    assert.deepEqual(gotB, [total, sentA]);
    assert.deepEqual(gotA, [total, sentB]);
  });

  test("a reader that waits gets what comes, piece by piece", via, async (a, b) => {
    const into = new Uint8Array(4);
    for (const word of ["one", "two", "six"]) {
      const reading = b.read(into);
      await settle();
      await writeAll(a, bytes(word));
      assert.equal(await reading, 3);
      assert.equal(text(into.subarray(0, 3)), word);
    }
    await writeAll(a, bytes("seventeen"));
    await readFull(b, into);
    assert.equal(text(into), "seve");
    await a.closeWrite();
    assert.equal(text(await readAll(b)), "nteen");
  });

  test(
    "writing waits for a reader, and the bytes are taken when it resolves",
    via,
    async (a, b) => {
      const chunk = new Uint8Array(256 * 1024);
      let written = 0;
      const writing = (async () => {
        for (let i = 1; i <= 32; i++) {
          chunk.fill(i);
          await writeAll(a, chunk);
          written += chunk.byteLength;
        }
        await a.closeWrite();
      })();
      await settle(200);
      assert.ok(written < 2 * 1024 * 1024, `${written} bytes went nowhere`);
      let total = 0;
      const buffer = new Uint8Array(65_536);
      for (;;) {
        const n = await b.read(buffer);
        if (n === null) break;
        for (let i = 0; i < n; i += 4096) {
          assert.equal(buffer[i], 1 + Math.floor((total + i) / chunk.byteLength));
        }
        total += n;
      }
      await writing;
      assert.equal(total, 32 * chunk.byteLength);
    },
  );

  test("timers run while a connection is always ready", via, async (a, b) => {
    let ticks = 0;
    const timer = setInterval(() => ticks++, 1);
    const total = 16 * 1024 * 1024;
    await Promise.all([send(a, total, 1), receive(b)]);
    clearInterval(timer);
    assert.ok(ticks > 0);
  });

  test("timers run while what has come is read in crumbs", via, async (a, b) => {
    const crumbs = 150_000;
    await writeAll(a, new Uint8Array(crumbs));
    let ticks = 0;
    const timer = setInterval(() => ticks++, 1);
    const crumb = new Uint8Array(1);
    for (let i = 0; i < crumbs; i++) await b.read(crumb);
    clearInterval(timer);
    assert.ok(ticks > 1, `${ticks} ticks`);
  });

  test("close() ends a read that waits, and is idempotent", via, async (a, b) => {
    const reading = b.read(new Uint8Array(1));
    await settle();
    b.close();
    b.close();
    assert.equal(await reading, null);
    assert.equal(await b.read(new Uint8Array(1)), null);
    assert.equal(await a.read(new Uint8Array(1)), null);
    await assert.rejects(b.write(Uint8Array.of(1)));
    await b.closeWrite();
  });

  test("close() ends a write that waits", via, async (a) => {
    const writing = (async () => {
      for (;;) await a.write(new Uint8Array(1024 * 1024));
    })();
    const failed = assert.rejects(writing);
    await settle(50);
    a.close();
    await failed;
  });

  test(
    "a peer that has gone is an error with a code, and no end of the half-close",
    via,
    async (a, b) => {
      await a.write(Uint8Array.of(1));
      b.close(); // with a byte unread, which resets the connection
      const writing = (async () => {
        for (;;) await a.write(new Uint8Array(65_536));
      })();
      await assert.rejects(writing, (error) => {
        assert.match(String((error as { code?: unknown }).code), /^(EPIPE|ECONNRESET)$/);
        return true;
      });
      await a.closeWrite();
    },
  );

  test("empty reads and writes move nothing", via, async (a, b) => {
    assert.equal(await a.write(new Uint8Array(0)), 0);
    assert.equal(await b.read(new Uint8Array(0)), 0);
    await a.write(Uint8Array.of(7));
    const into = new Uint8Array(8);
    assert.equal(await b.read(into), 1);
    assert.equal(into[0], 7);
  });

  Deno.test(`${via}: any cut of the stream into writes and reads gives the same bytes`, async () => {
    const size = fc.integer({ min: 1, max: 200_000 });
    await fc.assert(
      fc.asyncProperty(fc.array(size, { maxLength: 8 }), size, async (writes, read) => {
        const [a, b] = pair(via);
        try {
          const sender = (async () => {
            let at = 0;
            for (const length of writes) {
              const data = Uint8Array.from({ length }, (_, i) => (at + i) * 31);
              await writeAll(a, data);
              at += length;
            }
            await a.closeWrite();
          })();
          const into = new Uint8Array(read);
          let at = 0;
          for (;;) {
            const n = await b.read(into);
            if (n === null) break;
            for (let i = 0; i < n; i++) {
              if (into[i] !== ((at + i) * 31 & 0xff)) assert.fail(`byte ${at + i}`);
            }
            at += n;
          }
          await sender;
          assert.equal(at, writes.reduce((sum, each) => sum + each, 0));
        } finally {
          a.close();
          b.close();
        }
      }),
      { numRuns: 20 },
    );
    await quiet();
  });

  Deno.test(`${via}: a descriptor that is none is refused or fails to read`, async () => {
    try {
      const conn = adoptFd(NO_DESCRIPTOR, { via });
      await assert.rejects(async () => {
        assert.notEqual(await conn.read(new Uint8Array(1)), null);
      });
      conn.close();
    } catch (error) {
      assert.ok(error instanceof Error);
    }
    await quiet();
  });
}

Deno.test("runtimes before 2.7.12 close both halves of a pipe at once", () => {
  for (const recent of ["2.7.12", "2.9.6", "2.10.0", "3.0.0-rc.1", "2.7.13+abc"]) {
    assert.ok(isRecent(recent), recent);
  }
  for (const old of ["2.7.11", "2.6.10", "1.46.3", "2.7", ""]) assert.ok(!isRecent(old), old);
  assert.equal(pipesWork("2.6.10"), false);
});
