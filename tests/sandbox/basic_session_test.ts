import assert from "node:assert/strict";
import { type Conn, connPair } from "../../lib/core/mod.ts";
import { BasicPortSession } from "../../lib/sandbox/agent/port_session.ts";
import type { SessionResult } from "../../lib/sandbox/agent/session_kind.ts";
import { DEFAULT_SWITCHES } from "../../lib/sandbox/mod.ts";
import { Flag, MessageType, PayloadType } from "../../lib/ssm/constants.ts";
import { createMessage } from "../../lib/ssm/message.ts";
import { FakeClock, settle } from "../support/fake_clock.ts";

/** A basic session of a port forwarding document, whose far ends the test holds. */
function forwarding() {
  const servers: Conn[] = [];
  const state = { refuses: false, result: undefined as SessionResult | undefined, output: "" };
  const session = new BasicPortSession({
    clock: new FakeClock(),
    switches: DEFAULT_SWITCHES,
    properties: { portNumber: "5432", type: "LocalPortForwarding" },
    dial: () => {
      if (state.refuses) return Promise.reject(new Error("connect: connection refused"));
      const [near, far] = connPair();
      servers.push(far);
      return Promise.resolve(near);
    },
  });
  const done = session.run({
    send: (_type, payload) => void (state.output += new TextDecoder().decode(payload)),
    paused: false,
    ready: () => Promise.resolve(),
  }).then((result) => void (state.result = result));
  const send = async (text: string, payloadType: number = PayloadType.Output) => {
    const payload = text === "disconnect"
      ? new Uint8Array([0, 0, 0, Flag.DisconnectToPort])
      : new TextEncoder().encode(text);
    const messageType = MessageType.InputStreamData;
    const taken = await session.handle(createMessage({ messageType, payloadType, payload }));
    await settle();
    return taken;
  };
  return { session, servers, state, done, send };
}

const heard = async (server: Conn) => {
  const buffer = new Uint8Array(100);
  return new TextDecoder().decode(buffer.subarray(0, await server.read(buffer) ?? 0));
};

Deno.test("a basic session with a type outlives its connection and dials again for the next bytes", async () => {
  const { session, servers, state, done, send } = forwarding();
  await settle();
  assert.ok(await send("one"));
  assert.equal(await heard(servers[0]!), "one");
  servers[0]!.close();
  await settle();
  assert.equal(state.result, undefined, "the client is told nothing");
  assert.equal(servers.length, 1);
  assert.ok(await send("two"));
  assert.equal(await heard(servers[1]!), "two");
  await send("disconnect", PayloadType.Flag);
  assert.equal(await servers[1]!.read(new Uint8Array(1)), null);
  assert.ok(await send("three"));
  assert.equal(await heard(servers[2]!), "three");
  session.stop();
  await done;
  assert.deepEqual(state.result, { succeeded: true, output: "" });
});

Deno.test("a basic session that cannot dial again kills its worker without a word", async () => {
  const { servers, state, done, send } = forwarding();
  await settle();
  servers[0]!.close();
  await settle();
  state.refuses = true;
  assert.equal(await send("two"), false, "not acknowledged");
  await done;
  assert.deepEqual(state.result, { succeeded: false, output: "", crashed: true });
});
