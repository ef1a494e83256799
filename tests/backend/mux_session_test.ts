import assert from "node:assert/strict";
import { type Conn, type ErrorCode, isAwsocksError, writeAll } from "../../lib/core/mod.ts";
import { Command } from "../../lib/smux/frame.ts";
import { settle } from "../support/fake_clock.ts";
import { Peer } from "./port_peer.ts";

const { Fin, Psh } = Command;

async function read(conn: Conn, size = 100): Promise<string | null> {
  const buffer = new Uint8Array(size);
  const n = await conn.read(buffer);
  return n === null ? null : new TextDecoder().decode(buffer.subarray(0, n));
}

const write = (conn: Conn, text: string) => writeAll(conn, new TextEncoder().encode(text));
const codeOf = (error: unknown): ErrorCode | undefined =>
  isAwsocksError(error) ? error.code : undefined;

Deno.test("a dial succeeds when no failure has followed the acknowledgement of its SYN", async () => {
  const peer = new Peer();
  peer.session.acknowledges = false;
  const dialling = peer.dial();
  assert.deepEqual(await peer.frames(), ["Syn 3"]);
  await peer.clock.advance(1000);
  assert.equal(dialling.conn, undefined, "the agent has not taken it yet");
  peer.session.acknowledge();
  await peer.clock.advance(149);
  assert.equal(dialling.conn, undefined);
  await peer.clock.advance(1);
  assert.ok(dialling.conn);
  await peer.close();
  assert.equal(peer.clock.pending, 0);
});

Deno.test("the first byte of the destination ends the doubt, and makes it shorter from then on", async () => {
  const peer = new Peer();
  const first = peer.dial();
  await settle();
  await peer.send(Psh, 3, "220 ready\r\n");
  assert.ok(first.conn, "without a millisecond of waiting");
  assert.equal(await read(first.conn, 4), "220 ", "a small read leaves the rest");
  assert.equal(await read(first.conn), "ready\r\n");
  const second = peer.dial();
  await peer.clock.advance(29);
  assert.equal(second.conn, undefined);
  await peer.clock.advance(1);
  assert.ok(second.conn);
  await peer.close();
});

Deno.test("a flag and the FIN after it refuse a dial, and no other", async () => {
  const peer = new Peer();
  const [first, second] = [peer.dial(), peer.dial()];
  assert.deepEqual(await peer.frames(), ["Syn 3", "Syn 5"]);
  await peer.clock.advance(100);
  peer.flag();
  await peer.clock.advance(1000);
  assert.deepEqual([first.conn, second.conn], [undefined, undefined], "it may be either");
  await peer.send(Fin, 5);
  assert.equal(codeOf(second.error), "destination-refused");
  assert.deepEqual(await peer.frames(), ["Fin 5"]);
  await peer.clock.advance(150);
  assert.ok(first.conn);
  await peer.close();
});

Deno.test("a destination that accepts and closes at once is no failure", async () => {
  const peer = new Peer();
  const dialling = peer.dial();
  await settle();
  await peer.send(Fin, 3);
  assert.ok(dialling.conn);
  assert.equal(await read(dialling.conn), null);
  dialling.conn.close();
  await peer.close();
});

Deno.test("a refusal that comes late is an error of the connection, not its end", async () => {
  const peer = new Peer();
  const conn = await peer.connect();
  await peer.clock.advance(20_000);
  peer.flag();
  await peer.send(Fin, 3);
  await assert.rejects(read(conn), (error) => codeOf(error) === "destination-timeout");
  await peer.close();
});

Deno.test("a name is looked up again after a failure, an address is not", async () => {
  for (const [host, stale] of [["db.internal", true], ["10.0.1.10", false]] as const) {
    const peer = new Peer({ target: { host, port: 1 } });
    const fail = async (id: number) => {
      const dialling = peer.dial();
      await settle();
      peer.flag();
      await peer.send(Fin, id);
      assert.equal(codeOf(dialling.error), "destination-refused");
    };
    await fail(3);
    assert.ok(peer.mux.open, "looked up a moment ago");
    await peer.clock.advance(60_000);
    await fail(5);
    assert.equal(peer.mux.open, !stale, host);
    await peer.close();
  }
});

Deno.test("an aborted dial is still accounted for", async () => {
  const peer = new Peer();
  const abort = new AbortController();
  const first = peer.dial(abort.signal);
  const second = peer.dial();
  await settle();
  abort.abort(new Error("enough"));
  await settle();
  assert.match(String(first.error), /enough/);
  peer.flag();
  await peer.send(Fin, 3);
  await peer.clock.advance(150);
  assert.ok(second.conn, "the failure was the other's");
  assert.equal(peer.mux.load, 1);
  await peer.close();
});

Deno.test("an aborted dial that succeeds is closed", async () => {
  const peer = new Peer();
  const abort = new AbortController();
  peer.dial(abort.signal);
  await settle();
  abort.abort();
  await peer.clock.advance(150);
  assert.deepEqual(await peer.frames(), ["Syn 3", "Fin 3"]);
  assert.equal(peer.mux.load, 0);
  await peer.close();
});

Deno.test("at most 32 dials are in doubt at a time", async () => {
  const peer = new Peer();
  const dials = Array.from({ length: 40 }, () => peer.dial());
  assert.equal((await peer.frames()).length, 32);
  await peer.clock.advance(150);
  assert.equal(dials.filter(({ conn }) => conn).length, 32);
  assert.equal((await peer.frames()).length, 8);
  await peer.clock.advance(150);
  assert.ok(dials.every(({ conn }) => conn));
  await peer.close();
});

Deno.test("a session whose agent may still be connecting 512 streams takes no more", async () => {
  const peer = new Peer();
  for (let i = 0; i < 16; i++) {
    assert.ok(peer.mux.open);
    for (let j = 0; j < 32; j++) peer.dial();
    await peer.clock.advance(150);
  }
  assert.ok(!peer.mux.open);
  await peer.send(Psh, 513, "one answers: all before it were connected");
  assert.ok(peer.mux.open);
  await peer.close();
});

Deno.test("a half-close is held back, so that the answer is not cut off", async () => {
  const peer = new Peer();
  const conn = await peer.connect();
  await write(conn, "question");
  await conn.closeWrite();
  assert.deepEqual(await peer.frames(), ["Syn 3", "Psh 3 question"]);
  await peer.send(Psh, 3, "answer");
  assert.equal(await read(conn), "answer");
  await peer.send(Fin, 3);
  assert.equal(await read(conn), null);
  assert.deepEqual(await peer.frames(), ["Fin 3"], "the FIN comes after the agent's");
  conn.close();
  await peer.close();
});

Deno.test("a client that has ended waits 5 min for an answer, and lingers 30 s without a question", async () => {
  const cases = [[true, false, 300_000], [true, true, 30_000], [false, false, 30_000]] as const;
  for (const [asked, answered, limit] of cases) {
    const peer = new Peer();
    const conn = await peer.connect();
    if (asked) await write(conn, "question");
    if (answered) {
      await peer.send(Psh, 3, "answer");
      assert.equal(await read(conn), "answer");
    }
    await conn.closeWrite();
    await peer.frames();
    assert.equal(peer.mux.load, asked && !answered ? 1 : 0, "one that lingers needs no session");
    await peer.clock.advance(limit - 1);
    peer.mux.check();
    assert.ok(!(await peer.frames()).includes("Fin 3"));
    await peer.clock.advance(1);
    peer.mux.check();
    assert.ok((await peer.frames()).includes("Fin 3"));
    assert.equal(await read(conn), null);
    await peer.close();
  }
});

Deno.test("connections that linger make room when they are many", async () => {
  const peer = new Peer();
  const ids = Array.from({ length: 70 }, (_, i) => 3 + 2 * i);
  const conns: Conn[] = [];
  for (const _ of ids) conns.push(await peer.connect());
  const ended = async () => (await peer.frames()).filter((frame) => frame.startsWith("Fin"));
  for (const [i, conn] of conns.entries()) {
    await write(conn, "question");
    await peer.send(Psh, ids[i]!, "answer");
    assert.equal(await read(conn), "answer");
    await conn.closeWrite();
  }
  await peer.clock.advance(999);
  peer.mux.check();
  assert.deepEqual(await ended(), [], "each gets a moment");
  await peer.send(Psh, 5, "more of the answer");
  assert.equal(await read(conns[1]!), "more of the answer");
  await peer.clock.advance(1);
  peer.mux.check();
  assert.deepEqual(await ended(), [3, 7, 9, 11, 13, 15].map((id) => `Fin ${id}`));
  await peer.clock.advance(10_000);
  peer.mux.check();
  assert.deepEqual(await ended(), [], "64 may stay");
  await peer.close();
});

Deno.test("a connection that its client does not read ends with an error, and alone", async () => {
  const peer = new Peer();
  const [slow, other] = [await peer.connect(), await peer.connect()];
  const frame = "x".repeat(65_535);
  for (let sent = 0; sent <= 16 * 1024 * 1024; sent += frame.length) await peer.send(Psh, 3, frame);
  assert.ok(peer.mux.healthy);
  peer.mux.check();
  await assert.rejects(
    async () => {
      while (await read(slow, 65_536) !== null);
    },
    (error) => codeOf(error) === "destination-failed",
  );
  await peer.send(Psh, 5, "still here");
  assert.equal(await read(other), "still here");
  await peer.close();
});

Deno.test("the end of the session is the end of its streams, in the agent's words", async () => {
  const peer = new Peer();
  const dialling = peer.dial();
  await settle();
  peer.session.end("lookup db.internal on 10.0.0.2:53: no such host");
  await settle();
  assert.equal(codeOf(dialling.error), "destination-name-unknown");
  assert.equal(codeOf(await peer.mux.closed), "destination-name-unknown");
  assert.ok(!peer.mux.open);
  await peer.close();
});

Deno.test("a session that is lost or ended by AWS says so to its connections", async () => {
  for (const [end, code] of [["lose", "session-lost"], ["end", "session-closed"]] as const) {
    const peer = new Peer();
    const conn = await peer.connect();
    if (end === "lose") peer.session.lose();
    else peer.session.end("");
    await assert.rejects(read(conn), (error) => codeOf(error) === code);
    await assert.rejects(peer.mux.dial(), (error) => codeOf(error) === code);
    await peer.close();
    assert.equal(peer.clock.pending, 0);
  }
});

Deno.test("bytes that are no frames end the session", async () => {
  const peer = new Peer();
  const conn = await peer.connect();
  await peer.session.far.write(new Uint8Array([9, 9, 9, 9, 9, 9, 9, 9]));
  await assert.rejects(read(conn));
  assert.equal(codeOf(await peer.mux.closed), "smux-protocol-error");
  assert.ok(peer.session.closes > 0, "terminated");
  await peer.close();
});

Deno.test("an agent that acknowledges nothing gets no new connections after 3 s, and is given up after 45 s", async () => {
  const peer = new Peer();
  const conn = await peer.connect();
  peer.session.acknowledges = false;
  await write(conn, "hello?");
  const seconds = async (n: number) => {
    for (let i = 0; i < n; i++) {
      await peer.clock.advance(1000);
      peer.mux.check();
    }
  };
  peer.mux.check();
  await seconds(2);
  assert.ok(peer.mux.healthy);
  const late = peer.dial();
  await seconds(2);
  assert.ok(!peer.mux.healthy);
  assert.ok(peer.mux.open);
  assert.equal(codeOf(late.error), "session-lost", "another session may do better");
  await seconds(40);
  assert.equal(peer.session.closes, 0);
  await seconds(2);
  assert.ok(peer.session.closes > 0);
  await assert.rejects(read(conn), (error) => codeOf(error) === "session-lost");
  assert.equal(codeOf(await peer.mux.closed), "session-lost");
  await peer.close();
});

Deno.test("a session that is on its way back does not count as standing still", async () => {
  const peer = new Peer();
  const conn = await peer.connect();
  peer.session.acknowledges = false;
  peer.session.connected = false;
  await write(conn, "hello?");
  for (let i = 0; i < 100; i++) {
    await peer.clock.advance(1000);
    peer.mux.check();
  }
  assert.ok(peer.mux.healthy);
  assert.equal(peer.session.closes, 0);
  await peer.close();
});

Deno.test("an agent that is said not to be there gets no new connections after 3 s", async () => {
  const peer = new Peer();
  await peer.connect();
  // The service has paused the session: nothing goes out that could be acknowledged.
  peer.session.silence = 2999;
  assert.ok(peer.mux.healthy);
  peer.session.silence = 3000;
  assert.equal(peer.mux.silence, 3000);
  assert.ok(!peer.mux.healthy);
  const dialling = peer.dial();
  await settle();
  assert.equal(codeOf(dialling.error), "session-lost", "another instance may do better");
  peer.session.connected = false;
  assert.equal(peer.mux.silence, 0, "on its way back");
  await peer.close();
});

Deno.test("a session that a destination has filled up is waited for", async () => {
  const peer = new Peer();
  const conn = await peer.connect();
  await writeAll(conn, new Uint8Array(4 * 1024 * 1024));
  peer.session.acknowledges = false;
  await write(conn, "more");
  peer.mux.check();
  for (let i = 0; i < 100; i++) {
    await peer.clock.advance(1000);
    peer.mux.check();
  }
  assert.ok(!peer.mux.healthy);
  assert.equal(peer.mux.silence, 0, "nothing is said against the agent");
  assert.equal(peer.session.closes, 0);
  const dialling = peer.dial();
  await settle();
  assert.equal(codeOf(dialling.error), "destination-timeout");
  peer.session.acknowledge();
  assert.ok(peer.mux.healthy);
  peer.session.acknowledges = true;
  assert.ok(await peer.connect());
  await peer.close();
});

Deno.test("keep-alives are as frequent as the agent needs them", async () => {
  for (const [bearsSilence, count] of [[true, 4], [false, 6]] as const) {
    const peer = new Peer({ bearsSilence });
    await peer.clock.advance(60_000);
    assert.deepEqual(await peer.frames(), Array(count).fill("Nop 0"));
    await peer.close();
    assert.equal(peer.clock.pending, 0);
  }
});

Deno.test("idle time counts from the last connection", async () => {
  const peer = new Peer();
  await peer.clock.advance(500);
  assert.equal(peer.mux.idleFor, 500);
  peer.mux.reserve();
  await peer.clock.advance(500);
  assert.equal(peer.mux.idleFor, 0);
  peer.mux.release();
  const conn = await peer.connect();
  assert.deepEqual([peer.mux.load, peer.mux.idleFor], [1, 0]);
  await peer.clock.advance(1000);
  conn.close();
  await peer.clock.advance(700);
  assert.deepEqual([peer.mux.load, peer.mux.idleFor], [0, 700]);
  await peer.close();
});
