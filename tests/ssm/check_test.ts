/** What a channel does when it is told that its WebSocket may have died unnoticed. */

import assert from "node:assert/strict";
import { AwsocksError } from "../../lib/core/mod.ts";
import { DataChannel } from "../../lib/ssm/data_channel.ts";
import type { SocketConnector } from "../../lib/ssm/mod.ts";
import { captureLog } from "../support/log_capture.ts";
import { ToldDisruptions } from "../../lib/ssm/disruptions.ts";
import { FakeClock, settle } from "../support/fake_clock.ts";
import { ScriptedGateway } from "../support/scripted_gateway.ts";

async function opened(connectOf?: (gateway: ScriptedGateway) => SocketConnector) {
  const gateway = new ScriptedGateway();
  const clock = new FakeClock();
  const told = new ToldDisruptions();
  const channel = new DataChannel(gateway.grant, {
    service: gateway,
    connect: connectOf?.(gateway) ?? gateway.connect,
    clock,
    disruptions: told,
  });
  const opening = channel.open();
  await settle();
  gateway.handshake();
  await opening;
  const close = async () => {
    const stopping = channel.shutdown();
    await clock.advance(2000);
    await stopping;
    assert.equal(clock.pending, 0);
    assert.equal(told.listeners, 0);
  };
  return { gateway, clock, told, channel, close };
}

Deno.test("a socket that is alive answers and stays", async () => {
  const { gateway, clock, told, channel, close } = await opened();
  told.tell("Something happened");
  assert.equal(gateway.socket.pings, 1);
  gateway.socket.events.pong();
  await clock.advance(10_000);
  assert.equal(gateway.sockets.length, 1);
  assert.equal(channel.state, "open");
  await close();
});

Deno.test("a dead socket is replaced within seconds, not at the next ping", async () => {
  const { gateway, clock, told, channel, close } = await opened();
  told.tell("Something happened");
  await clock.advance(2900);
  assert.equal(gateway.sockets.length, 1);
  await clock.advance(200);
  assert.equal(gateway.sockets.length, 2);
  assert.equal(channel.state, "open");
  await close();
});

Deno.test("a ping that waits for its pong gets the short deadline too", async () => {
  const { gateway, clock, told, close } = await opened();
  await clock.advance(30_000);
  assert.equal(gateway.socket.pings, 1);
  told.tell("Something happened");
  await clock.advance(3100);
  assert.equal(gateway.sockets.length, 2);
  await close();
});

Deno.test("a back-off between attempts to resume ends", async () => {
  const { gateway, clock, told, channel, close } = await opened();
  const unreachable = () => new AwsocksError("aws-unreachable", "No network");
  gateway.resumeAnswers.push(...Array.from({ length: 100 }, unreachable));
  gateway.cut(1006, "");
  await clock.advance(20_000);
  assert.equal(channel.state, "resuming");
  gateway.resumeAnswers.length = 0;
  told.tell("Something happened");
  await settle();
  assert.equal(channel.state, "open");
  await close();
});

Deno.test("the log tells of each reason once, not of each attempt", () =>
  captureLog(async (lines) => {
    const { gateway, clock, channel, close } = await opened();
    const unreachable = () => new AwsocksError("aws-unreachable", "No network");
    const throttled = () => new AwsocksError("aws-throttled", "Too many requests");
    gateway.resumeAnswers.push(...Array.from({ length: 20 }, unreachable), throttled());
    gateway.cut(1006, "");
    await settle();
    while (channel.state !== "open") await clock.advance(5000);
    const told = lines.filter(({ level }) => level === "info")
      .map(({ message }) => message.replace(/^Session \S+ /, ""));
    assert.match(told[0]!, /WebSocket closed with code 1006; resuming$/);
    assert.match(told[1]!, /^could not resume, next try in 0\.[12] s: No network$/);
    assert.match(told[2]!, /^could not resume, next try in \d\.\d s: Too many requests$/);
    assert.equal(told[3], "resumed");
    assert.equal(told.length, 4);
    await close();
  }));

Deno.test("an attempt that hangs is given up for a new one", async () => {
  let hanging = 0;
  const { gateway, clock, told, channel, close } = await opened(
    (gateway) => (url, events, dial) => {
      if (!/resumed-1$/.test(url)) return gateway.connect(url, events, dial);
      hanging++;
      return new Promise((_, reject) => {
        dial?.signal?.addEventListener("abort", () => reject(dial.signal?.reason), { once: true });
      });
    },
  );
  gateway.cut(1006, "");
  await clock.advance(1000);
  assert.equal(hanging, 1);
  assert.equal(channel.state, "resuming");
  told.tell("Something happened");
  await settle();
  assert.equal(channel.state, "open");
  assert.match(gateway.socket.url, /resumed-2$/);
  await close();
});

Deno.test("while the reader is held back nothing is asked", async () => {
  const { gateway, clock, told, channel, close } = await opened();
  for (let i = 0; i < 5000 && gateway.socket.reading; i++) gateway.data("x".repeat(1024));
  assert.equal(gateway.socket.reading, false);
  told.tell("Something happened");
  await clock.advance(5000);
  assert.equal(gateway.sockets.length, 1);
  assert.equal(channel.state, "open");
  await close();
});
