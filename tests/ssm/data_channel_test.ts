import assert from "node:assert/strict";
import fc from "fast-check";
import { AwsocksError, isAwsocksError } from "../../lib/core/mod.ts";
import type { ChannelState, DataChannelOptions } from "../../lib/ssm/channel_types.ts";
import { DataChannel } from "../../lib/ssm/data_channel.ts";
import {
  Flag,
  MessageType,
  openSession,
  parseFlag,
  parseHandshakeResponse,
  PayloadType,
  sshSessionRequest,
} from "../../lib/ssm/mod.ts";
import { captureLog } from "../support/log_capture.ts";
import { FakeClock, settle } from "../support/fake_clock.ts";
import { ScriptedGateway } from "../support/scripted_gateway.ts";

const utf8 = (text: string) => new TextEncoder().encode(text);

interface Fixture {
  gateway: ScriptedGateway;
  clock: FakeClock;
  channel: DataChannel;
  states: ChannelState[];
}

const clocks = new WeakMap<DataChannel, FakeClock>();

/** Shuts a channel down whose peer may owe acknowledgements. */
async function stop(channel: DataChannel): Promise<void> {
  const stopping = channel.shutdown();
  await clocks.get(channel)?.advance(2000);
  await stopping;
  assert.equal(clocks.get(channel)?.pending, 0, "timers left over");
}

function fixture(options: Partial<DataChannelOptions> = {}): Fixture {
  const gateway = new ScriptedGateway();
  const clock = new FakeClock();
  const states: ChannelState[] = [];
  const channel = new DataChannel(gateway.grant, {
    service: gateway,
    connect: gateway.connect,
    clock,
    onStateChange: (state) => states.push(state),
    ...options,
  });
  clocks.set(channel, clock);
  return { gateway, clock, channel, states };
}

async function opened(
  options: Partial<DataChannelOptions> = {},
  agentVersion?: string,
): Promise<Fixture> {
  const all = fixture(options);
  const opening = all.channel.open();
  await settle();
  all.gateway.handshake(agentVersion);
  await opening;
  return all;
}

async function readText(channel: DataChannel, size = 1024): Promise<string | null> {
  const buffer = new Uint8Array(size);
  const n = await channel.read(buffer);
  return n === null ? null : new TextDecoder().decode(buffer.subarray(0, n));
}

Deno.test("open() sends OpenDataChannel first, then answers the handshake and nothing else", async () => {
  const { gateway, channel, states } = fixture();
  const opening = channel.open();
  await settle();
  const { socket } = gateway;
  assert.equal(socket.url, gateway.grant.streamUrl);
  assert.equal(socket.open?.tokenValue, "token-0");
  assert.match(socket.open?.clientVersion ?? "", /^\d+\.\d+\.\d+\.\d+$/);
  assert.equal(socket.received.length, 0);

  void channel.write(utf8("too early"));
  await settle();
  gateway.deliver(gateway.handshakeRequest());
  const [ack, response] = socket.received;
  assert.deepEqual([ack?.messageType, ack?.flags, ack?.sequenceNumber, ack?.payloadType], [
    MessageType.Acknowledge,
    3,
    0,
    0,
  ]);
  assert.deepEqual([response?.payloadType, response?.sequenceNumber, response?.flags], [
    PayloadType.HandshakeResponse,
    0,
    0,
  ]);
  const parsed = parseHandshakeResponse(response!.payload);
  assert.deepEqual(parsed.processedClientActions, [{ actionType: "SessionType", actionStatus: 1 }]);
  await settle();
  assert.equal(gateway.stream().length, 1, "no data before HandshakeComplete");

  gateway.deliver(gateway.handshakeComplete());
  assert.equal((await opening).agentVersion, "3.3.1142.0");
  await settle();
  assert.equal(new TextDecoder().decode(gateway.stream()[1]?.payload), "too early");
  assert.equal(gateway.stream()[1]?.sequenceNumber, 1);
  assert.deepEqual(states, ["handshaking", "open"]);
  await stop(channel);
});

Deno.test("a repeated or second HandshakeRequest is acknowledged and not answered again", async () => {
  const { gateway, channel } = fixture();
  const opening = channel.open();
  await settle();
  const request = gateway.handshakeRequest();
  gateway.deliver(request);
  gateway.deliver(request);
  gateway.deliver(gateway.handshakeRequest());
  gateway.deliver(gateway.handshakeComplete());
  gateway.deliver(gateway.handshakeComplete());
  await opening;
  assert.deepEqual(gateway.acknowledged(), [0, 0, 1, 2, 3]);
  assert.equal(gateway.stream().length, 1);
  await stop(channel);
});

Deno.test("handshake messages that come out of order are dispatched in order", async () => {
  const { gateway, channel } = fixture();
  const opening = channel.open();
  await settle();
  const request = gateway.handshakeRequest();
  const complete = gateway.handshakeComplete();
  gateway.deliver(complete);
  assert.equal(gateway.stream().length, 0);
  gateway.deliver(request);
  assert.equal((await opening).properties.portNumber, "22");
  await stop(channel);
});

Deno.test("output arrives in order whatever order, loss and repetition the gateway makes of it", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.string({ minLength: 1, maxLength: 20, unit: "binary" }), {
        minLength: 1,
        maxLength: 20,
      }),
      fc.infiniteStream(fc.nat()),
      async (texts, random) => {
        const { gateway, channel } = await opened();
        const pending = texts.map((text) => gateway.output(PayloadType.Output, utf8(text)));
        const due = [...pending];
        while (due.length > 0) {
          const index = random.next().value % due.length;
          gateway.deliver(due[index]!);
          if (random.next().value % 3 > 0) due.splice(index, 1);
        }
        let got = "";
        const expected = texts.join("");
        while (utf8(got).byteLength < utf8(expected).byteLength) {
          got += await readText(channel, 4096);
        }
        assert.equal(got, expected);
        await stop(channel);
      },
    ),
    { numRuns: 50 },
  );
});

Deno.test("write() cuts at the payload size, coalesces small writes and stays within the window", async () => {
  const { gateway, channel } = await opened({ window: { initial: 4096, max: 4096 } });
  for (const byte of utf8("abc")) await channel.write(new Uint8Array([byte]));
  await settle();
  assert.equal(gateway.stream().length, 2, "three writes of one turn make one message");
  gateway.acknowledge(1);

  let written = 0;
  const writing = (async () => {
    for (let i = 0; i < 20; i++) written += await channel.write(new Uint8Array(10_000));
  })();
  await settle();
  assert.equal(channel.stats.unacknowledged, 4096);
  assert.ok(written < 100_000, "a full queue holds the writer back");
  let next = 2;
  while (channel.stats.sentBytes < 200_003) {
    const under = gateway.stream().length;
    while (next < under) gateway.acknowledge(next++);
    await settle(2);
  }
  await writing;
  assert.equal(channel.stats.maxUnacknowledged, 4096);
  assert.equal(channel.stats.maxWindowShare, 1);
  assert.ok(gateway.stream().slice(2).every((message) => message.payload.byteLength <= 1024));
  await stop(channel);
});

Deno.test("acknowledged() waits for what was written before it, without a gap, and not for more", async () => {
  const { gateway, channel } = await opened({ window: { initial: 2048, max: 2048 } });
  const reached: string[] = [];
  const mark = (name: string) => channel.acknowledged().then(() => reached.push(name));
  await mark("nothing");
  await channel.write(new Uint8Array(3000));
  void mark("all");
  await settle();
  void channel.write(new Uint8Array(1000)).then(() => mark("more"));
  await settle();
  gateway.acknowledge(2);
  await settle();
  assert.deepEqual(reached, ["nothing"], "message 1 is still missing");
  gateway.acknowledge(1);
  await settle();
  assert.deepEqual(reached, ["nothing"], "the last of the bytes are only now under way");
  gateway.acknowledge(3);
  await settle();
  assert.deepEqual(reached, ["nothing", "all"]);
  gateway.channelClosed();
  await settle();
  assert.deepEqual(reached, ["nothing", "all", "more"], "an end ends all waiting");
  await channel.acknowledged();
  await stop(channel);
});

Deno.test("data waits while the socket's own buffer is full; acknowledgements do not", async () => {
  const { gateway, channel } = await opened();
  gateway.socket.bufferedAmount = 1024 * 1024;
  await channel.write(utf8("later"));
  gateway.data("x");
  await settle();
  assert.equal(gateway.stream().length, 1);
  assert.deepEqual(gateway.acknowledged(), [0, 1, 2]);
  gateway.socket.bufferedAmount = 0;
  gateway.socket.events.drained();
  await settle();
  assert.equal(gateway.stream().length, 2);
  await stop(channel);
});

Deno.test("a refused first message is sent again, identical, until it is taken", async () => {
  const { gateway, channel, clock } = await opened();
  await channel.write(utf8("SSH-2.0"));
  await settle();
  await clock.advance(3000);
  const copies = gateway.stream().filter((message) => message.sequenceNumber === 1);
  assert.ok(copies.length >= 3, `${copies.length}`);
  for (const copy of copies) assert.deepEqual(copy, copies[0]);
  gateway.acknowledge(1);
  const before = gateway.stream().length;
  await clock.advance(10_000);
  assert.equal(gateway.stream().length, before);
  await stop(channel);
});

Deno.test("a WebSocket close of any code resumes with the new token and URL and loses nothing", async () => {
  for (const [code, reason] of [[1000, "Bye"], [1006, ""], [1011, "oops"]] as const) {
    const { gateway, channel, states } = await opened();
    await channel.write(utf8("unacknowledged"));
    await settle();
    const first = gateway.socket;
    const sent = gateway.stream().at(-1);
    gateway.cut(code, reason);
    await channel.write(utf8("written meanwhile"));
    await settle();
    assert.equal(first.closed, true);
    assert.equal(gateway.sockets.length, 2);
    const { socket } = gateway;
    assert.equal(socket.url, "wss://gateway.test/resumed-1");
    assert.equal(socket.open?.tokenValue, "token-1");
    assert.equal(socket.open?.clientId, first.open?.clientId);
    assert.notEqual(socket.open?.requestId, first.open?.requestId);
    assert.deepEqual(gateway.stream()[0], sent);
    assert.deepEqual(
      gateway.stream().map((message) => message.sequenceNumber),
      [1, 2],
    );
    gateway.data("still here");
    assert.equal(await readText(channel), "still here");
    assert.deepEqual(states, ["handshaking", "open", "resuming", "open"]);
    assert.equal(channel.stats.resumes, 1);
    await stop(channel);
  }
});

Deno.test("resuming goes on through failures with growing delays, then gives up as lost", async () => {
  const { gateway, channel, clock } = await opened({ timing: { resume: 60_000 } });
  for (let i = 0; i < 100; i++) {
    gateway.resumeAnswers.push(new AwsocksError("aws-unreachable", "No network"));
  }
  gateway.cut();
  await clock.advance(50_000);
  const attempts = gateway.calls.filter((call) => call === "resume").length;
  assert.ok(attempts > 8 && attempts < 40, `${attempts} attempts`);
  assert.equal(channel.state, "resuming");
  await clock.advance(20_000);
  const end = await channel.closed;
  assert.equal(end.by, "lost");
  assert.ok(isAwsocksError(end.error, "session-lost"));
  await assert.rejects(readText(channel), /could not be resumed/);
  await settle();
  assert.deepEqual(gateway.terminated, ["session-1"]);
});

Deno.test("a session that the service has ended is over without TerminateSession", async () => {
  const { gateway, channel } = await opened();
  gateway.data("last words");
  gateway.resumeAnswers.push(null);
  gateway.cut();
  await settle();
  assert.equal(await readText(channel), "last words");
  await assert.rejects(readText(channel), /has ended the session/);
  await channel.shutdown();
  assert.deepEqual(gateway.terminated, []);
});

Deno.test("access denied on resume ends the session at once", async () => {
  const { gateway, channel } = await opened();
  gateway.resumeAnswers.push(new AwsocksError("aws-access-denied", "Denied"));
  gateway.cut();
  assert.equal((await channel.closed).by, "lost");
  await settle();
});

Deno.test("a failed first dial is mended by resuming", async () => {
  const { gateway, channel, clock } = fixture();
  gateway.dialFailures.push(new AwsocksError("aws-unreachable", "No route"));
  const opening = channel.open();
  await clock.advance(500);
  gateway.handshake();
  await opening;
  assert.deepEqual(gateway.calls, ["resume"]);
  await stop(channel);
});

Deno.test("sockets that bring nothing are not redialled in a hot loop", async () => {
  const { gateway, channel, clock } = await opened();
  gateway.cut();
  await settle();
  for (let i = 0; i < 5; i++) {
    gateway.cut();
    await settle();
    const count = gateway.sockets.length;
    await settle();
    assert.equal(gateway.sockets.length, count, "waits before the next dial");
    await clock.advance(5000);
  }
  await stop(channel);
});

Deno.test("channel_closed ends the session: clean without text, an error with it", async () => {
  const clean = await opened();
  clean.gateway.data("bye");
  clean.gateway.channelClosed();
  assert.equal(await readText(clean.channel), "bye");
  assert.equal(await readText(clean.channel), null);
  await assert.rejects(clean.channel.write(utf8("x")), /has ended/);
  await clean.channel.shutdown();
  assert.deepEqual(clean.gateway.calls, []);

  const failed = await opened();
  failed.gateway.channelClosed("Unable to connect to specified port");
  await assert.rejects(readText(failed.channel), /Unable to connect to specified port/);
  assert.equal((await failed.channel.closed).output, "Unable to connect to specified port");
});

Deno.test("open() tells a gateway that lets nobody in from an agent that is silent", async () => {
  for (const failures of [0, 1000]) {
    const { gateway, channel, clock } = fixture();
    const cause = new AwsocksError("aws-unavailable", "HTTP status 503");
    for (let i = 0; i < failures; i++) gateway.dialFailures.push(cause);
    const opening = assert.rejects(channel.open(), (error: unknown) => {
      const message = failures > 0
        ? "The data channel could not be opened within 30 s"
        : "The agent did not complete the handshake within 30 s";
      return isAwsocksError(error, "session-handshake-failed") && error.message === message &&
        error.cause === (failures > 0 ? cause : undefined);
    });
    await clock.advance(30_000);
    await opening;
    await stop(channel);
  }
});

Deno.test("channel_closed before the handshake fails open() with the agent's text", async () => {
  const { gateway, channel } = fixture();
  const opening = channel.open();
  await settle();
  gateway.channelClosed("Plugin is not supported");
  await assert.rejects(opening, (error: unknown) => {
    return isAwsocksError(error, "session-handshake-failed") && /not supported/.test(error.message);
  });
});

Deno.test("pause_publication stops new data but not acknowledgements, and probes", async () => {
  const { gateway, channel, clock } = await opened();
  await channel.write(utf8("one"));
  await settle();
  gateway.control(MessageType.PausePublication);
  await channel.write(utf8("two"));
  await settle();
  assert.equal(gateway.stream().length, 2);
  await clock.advance(4000);
  const probes = gateway.stream().length - 2;
  assert.ok(probes >= 2 && probes <= 3, `${probes} probes in 4 s`);
  gateway.control(MessageType.StartPublication);
  await settle();
  assert.equal(new TextDecoder().decode(gateway.stream().at(-1)?.payload), "two");

  gateway.control(MessageType.PausePublication);
  await channel.write(utf8("three"));
  gateway.data("output lifts the pause");
  await settle();
  assert.equal(new TextDecoder().decode(gateway.stream().at(-1)?.payload), "three");
  assert.ok(gateway.acknowledged().includes(2));
  await stop(channel);
});

Deno.test("a pause that nothing ends is probed with new data when nothing is under way", async () => {
  const { gateway, channel, clock } = await opened();
  gateway.control(MessageType.PausePublication);
  await channel.write(new Uint8Array(3000));
  await settle();
  assert.equal(gateway.stream().length, 1, "only the HandshakeResponse");
  await clock.advance(1600);
  assert.deepEqual(gateway.stream().slice(1).map(({ payload }) => payload.byteLength), [1024]);
  gateway.acknowledge(1);
  await settle();
  const sizes = gateway.stream().slice(1).map(({ payload }) => payload.byteLength);
  assert.deepEqual(sizes, [1024, 1024, 952]);
  await stop(channel);
});

Deno.test("a missing pong drops the socket; any message counts as life", async () => {
  const { gateway, channel, clock } = await opened();
  await clock.advance(30_000);
  assert.equal(gateway.socket.pings, 1);
  gateway.socket.events.pong();
  await clock.advance(30_000);
  gateway.data("x");
  await clock.advance(20_000);
  assert.equal(gateway.sockets.length, 1);
  await clock.advance(30_000);
  assert.equal(gateway.sockets.length, 2);
  await stop(channel);
});

Deno.test("silence while acknowledgements are owed ends the session", async () => {
  const { gateway, channel, clock } = await opened({ timing: { ping: 1e9 } });
  await channel.write(utf8("anyone?"));
  await clock.advance(121_000);
  const end = await channel.closed;
  assert.ok(isAwsocksError(end.error, "session-lost"));
  assert.deepEqual(gateway.terminated, ["session-1"]);
});

Deno.test("a reader that stops pauses the socket, and only until it reads again", async () => {
  const { gateway, channel } = await opened();
  const block = "x".repeat(1024);
  for (let i = 0; i < 4096; i++) gateway.data(block);
  assert.equal(gateway.socket.reading, false);
  let read = 0;
  while (!gateway.socket.reading) read += (await readText(channel, 65536))?.length ?? 0;
  assert.ok(read >= 3 * 1024 * 1024);
  await stop(channel);
});

Deno.test("shutdown() sends what was written, then TerminateSession twice over", async () => {
  const { gateway, channel } = await opened();
  await channel.write(utf8("goodbye"));
  const closing = channel.shutdown();
  await settle();
  assert.equal(gateway.stream().length, 2);
  gateway.acknowledge(1);
  await closing;
  const flag = gateway.stream().at(-1)!;
  assert.deepEqual([flag.payloadType, parseFlag(flag.payload)], [
    PayloadType.Flag,
    Flag.TerminateSession,
  ]);
  assert.deepEqual(gateway.calls, ["terminate"]);
  assert.equal((await channel.closed).by, "local");
  assert.equal(await readText(channel), null);
  await channel.shutdown();
  assert.deepEqual(gateway.calls, ["terminate"]);
});

Deno.test("an old agent's silence on duplicates does not stall the stream", async () => {
  const { gateway, channel, clock } = await opened({}, "3.1.1732.0");
  gateway.data("SSH-2.0-x");
  await channel.write(utf8("processed, acknowledgement lost"));
  await settle();
  gateway.cut();
  await clock.advance(8000);
  await channel.write(utf8("next"));
  await settle();
  gateway.acknowledge(2);
  assert.equal(channel.stats.unacknowledged, 0);
  await stop(channel);
});

Deno.test("an old agent's silence on a whole window does not stall the stream", async () => {
  const { gateway, channel, clock } = await opened(
    { window: { initial: 4096, max: 4096 } },
    "3.1.1732.0",
  );
  gateway.data("SSH-2.0-x");
  await channel.write(new Uint8Array(8192));
  await settle();
  assert.equal(channel.stats.unacknowledged, 4096);
  gateway.cut();
  await clock.advance(10_000);
  assert.ok(channel.stats.sentBytes > 4096, "sends on");
  gateway.acknowledge(gateway.stream().at(-1)!.sequenceNumber);
  await settle();
  for (const { sequenceNumber } of gateway.stream()) gateway.acknowledge(sequenceNumber);
  assert.equal(channel.stats.unacknowledged, 0);
  await stop(channel);
});

Deno.test("silence grows while the agent owes an acknowledgement and says nothing", async () => {
  const { gateway, channel, clock } = await opened();
  gateway.data("SSH-2.0-x");
  await clock.advance(10_000);
  assert.equal(channel.stats.silence, 0, "it owes nothing");
  await channel.write(utf8("question"));
  await settle();
  await clock.advance(1500);
  assert.equal(channel.stats.silence, 1500);
  gateway.data("something else");
  assert.equal(channel.stats.silence, 0, "it lives");
  await clock.advance(400);
  assert.equal(channel.stats.silence, 400);
  gateway.acknowledge(gateway.stream().at(-1)!.sequenceNumber);
  assert.equal(channel.stats.silence, 0);
  gateway.control(MessageType.PausePublication);
  await clock.advance(700);
  assert.equal(channel.stats.silence, 700, "the service says that nobody listens");
  gateway.control(MessageType.StartPublication);
  assert.equal(channel.stats.silence, 0);
  await stop(channel);
});

Deno.test("damaged messages are counted and not acknowledged; the session goes on", async () => {
  const { gateway, channel } = await opened();
  const bytes = gateway.output(PayloadType.Output, utf8("fine"));
  const damaged = bytes.slice();
  damaged[121]! ^= 1;
  gateway.deliver(damaged);
  gateway.deliver(utf8("not a message"));
  gateway.control(MessageType.Acknowledge, utf8("{}"));
  gateway.control("data_channel_ready");
  assert.deepEqual(gateway.acknowledged(), [0, 1]);
  assert.equal(channel.stats.malformed, 3);
  gateway.deliver(bytes);
  assert.equal(await readText(channel), "fine");
  await stop(channel);
});

Deno.test("an agent that sends data without a handshake is refused as too old", async () => {
  const { gateway, channel } = fixture();
  const opening = channel.open();
  await settle();
  gateway.data("$ ");
  await assert.rejects(opening, /too old/);
  await settle();
  assert.deepEqual(gateway.terminated, ["session-1"]);
});

function session(gateway: ScriptedGateway, clock: FakeClock, signal?: AbortSignal) {
  return openSession(sshSessionRequest("i-1", 22), {
    service: gateway,
    connect: gateway.connect,
    clock,
    signal,
  });
}

Deno.test("openSession() terminates a session whose handshake does not come", async () => {
  const gateway = new ScriptedGateway();
  const clock = new FakeClock();
  const failed = assert.rejects(session(gateway, clock), /did not complete the handshake/);
  await clock.advance(31_000);
  await failed;
  assert.deepEqual(gateway.calls, ["start", "terminate"]);
  assert.equal(clock.pending, 0);
});

Deno.test("openSession() terminates a session that was aborted at any moment", async () => {
  for (const settleFirst of [false, true]) {
    const gateway = new ScriptedGateway();
    const clock = new FakeClock();
    const abort = new AbortController();
    const failed = assert.rejects(session(gateway, clock, abort.signal), /enough/);
    if (settleFirst) await settle();
    abort.abort(new Error("enough"));
    await failed;
    await settle();
    assert.deepEqual(gateway.calls, ["start", "terminate"]);
    assert.equal(clock.pending, 0);
  }
});

Deno.test("openSession() gives a session that ends with its conn", async () => {
  const gateway = new ScriptedGateway();
  const clock = new FakeClock();
  const opening = session(gateway, clock);
  await settle();
  gateway.handshake();
  const opened = await opening;
  assert.equal(opened.connected, true);
  opened.conn.close();
  assert.equal((await opened.closed).by, "local");
  await opened.close();
  assert.deepEqual(gateway.calls, ["start", "terminate"]);
  assert.equal(clock.pending, 0);
});

Deno.test("openSession() logs at its end what the session has moved", async () => {
  await captureLog(async (lines) => {
    const gateway = new ScriptedGateway();
    const clock = new FakeClock();
    const opening = session(gateway, clock);
    await settle();
    gateway.handshake();
    const opened = await opening;
    await opened.conn.write(new Uint8Array(3000));
    await settle();
    for (const { sequenceNumber } of gateway.stream()) gateway.acknowledge(sequenceNumber);
    await opened.close();
    await settle();
    const [line] = lines.filter(({ message }) => /over/.test(message));
    assert.match(line!.message, /^Session session-1 is over: 3000 bytes sent, 0 received$/);
    const { by, maxUnacknowledged, retransmissions } = line!;
    assert.deepEqual([by, maxUnacknowledged, retransmissions], ["local", 3000, 0]);
  });
});
