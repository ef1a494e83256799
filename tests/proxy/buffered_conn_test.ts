import assert from "node:assert/strict";
import fc from "fast-check";
import { type Conn, connPair, readAll, writeAll } from "../../lib/core/mod.ts";
import { BufferedConn, type Parser } from "../../lib/proxy/buffered_conn.ts";
import { settle } from "../support/fake_clock.ts";
import { concat, text, utf8 } from "./bytes.ts";

/** One line without its end. */
const parseLine: Parser<string> = (bytes) => {
  const end = bytes.indexOf(0x0a);
  return end < 0 ? undefined : { value: text(bytes.subarray(0, end)), length: end + 1 };
};

/** A Conn that hands out `chunks` as they are cut, then ends or fails. */
function scripted(chunks: readonly Uint8Array[], failure?: Error): Conn & { reads: number } {
  const left = chunks.filter((chunk) => chunk.length > 0);
  return {
    reads: 0,
    read(into) {
      this.reads++;
      const chunk = left.shift();
      if (!chunk) return failure ? Promise.reject(failure) : Promise.resolve(null);
      into.set(chunk.subarray(0, into.length));
      if (chunk.length > into.length) left.unshift(chunk.subarray(into.length));
      return Promise.resolve(Math.min(into.length, chunk.length));
    },
    write: (data) => Promise.resolve(data.length),
    closeWrite: () => Promise.resolve(),
    close: () => {},
  };
}

Deno.test("BufferedConn loses no byte, however the input is cut and whoever reads it", async () => {
  const cuts = fc.array(fc.integer({ min: 1, max: 5000 }), { maxLength: 20 });
  await fc.assert(fc.asyncProperty(cuts, fc.boolean(), async (sizes, watch) => {
    const body = Uint8Array.from({ length: sizes.reduce((a, b) => a + b, 0) }, (_, i) => i % 251);
    const whole = concat(utf8("one\ntwo\n"), body);
    const chunks: Uint8Array[] = [];
    for (let at = 0; at < whole.length;) {
      chunks.push(whole.subarray(at, at += sizes[chunks.length] ?? 7));
    }
    const conn = new BufferedConn(scripted(chunks), 4096);
    assert.equal(await conn.parse(parseLine), "one");
    assert.equal(await conn.parse(parseLine), "two");
    if (watch) {
      conn.watch(() => {});
      await settle(2);
    }
    assert.deepEqual(await readAll(conn), body);
  }));
});

Deno.test("BufferedConn.parse() fails when the input outgrows the limit, without reading on", async () => {
  const source = scripted([new Uint8Array(5000), new Uint8Array(5000)]);
  const conn = new BufferedConn(source, 4096);
  await assert.rejects(conn.parse(parseLine), { code: "proxy-protocol-error" });
  assert.ok(conn.ahead.length <= 4096);
  assert.ok(source.reads <= 3);
});

Deno.test("BufferedConn.parse() fails at the end of input and passes a read error on", async () => {
  const ended = new BufferedConn(scripted([utf8("half a li")]));
  await assert.rejects(ended.parse(parseLine), { code: "proxy-protocol-error" });
  const failure = new Error("reset");
  const failed = new BufferedConn(scripted([utf8("half a li")], failure));
  await assert.rejects(failed.parse(parseLine), failure);
});

Deno.test("BufferedConn.watch() tells of a client that ends without having sent anything", async () => {
  const [near, far] = connPair();
  const conn = new BufferedConn(near);
  let gone = 0;
  conn.watch(() => gone++);
  await settle();
  assert.equal(gone, 0);
  await far.closeWrite();
  await settle();
  assert.equal(gone, 1);
  assert.deepEqual(await readAll(conn), new Uint8Array());
});

Deno.test("BufferedConn.watch() takes an end after early data as a half-close", async () => {
  const conn = new BufferedConn(scripted([utf8("early")]));
  conn.watch(() => assert.fail("the client still waits for an answer"));
  await settle();
  assert.equal(text(await readAll(conn)), "early");
});

Deno.test("BufferedConn.watch() tells of a reset even after early data", async () => {
  const failure = new Error("reset");
  const conn = new BufferedConn(scripted([utf8("early")], failure));
  const reasons: unknown[] = [];
  conn.watch((error) => reasons.push(error));
  await settle();
  assert.deepEqual(reasons, [failure]);
  const buffer = new Uint8Array(10);
  assert.equal(await conn.read(buffer), 5);
  await assert.rejects(conn.read(buffer), failure);
});

Deno.test("BufferedConn.watch() reads no more than the limit", async () => {
  const [near, far] = connPair(1 << 20);
  const conn = new BufferedConn(near, 4096);
  conn.watch(() => assert.fail("the client is there"));
  await writeAll(far, new Uint8Array(100_000));
  await settle();
  assert.equal(conn.ahead.length, 4096);
  far.close();
  assert.equal((await readAll(conn)).length, 100_000);
});

Deno.test("BufferedConn.read() during a watch gets the bytes of the read under way", async () => {
  const [near, far] = connPair();
  const conn = new BufferedConn(near);
  conn.watch(() => {});
  const buffer = new Uint8Array(10);
  const read = conn.read(buffer);
  await writeAll(far, utf8("late"));
  assert.equal(await read, 4);
  assert.equal(text(buffer.subarray(0, 4)), "late");
  far.close();
  assert.equal(await conn.read(buffer), null);
});
