import assert from "node:assert/strict";
import { once } from "node:events";
// @ts-types="@types/ssh2"
import type { ConnectConfig } from "ssh2";
import { duplexFromConn } from "../../lib/core/node_stream.ts";
import { EventHub } from "../../lib/sandbox/events.ts";
import { generateKeyPair } from "../../lib/sandbox/instance/keys.ts";
import { Machine } from "../../lib/sandbox/instance/machine.ts";
import { startSandbox } from "../../lib/sandbox/mod.ts";
import { PrivateNetwork } from "../../lib/sandbox/vpc/network.ts";
import { loadSsh2 } from "../../lib/ssh/mod.ts";
import { FakeClock, settle } from "../support/fake_clock.ts";
import { callInstanceConnect, json } from "./caller.ts";

const pair = generateKeyPair("pushed");

Deno.test("a pushed key lets its user in for a minute, and nobody else", async () => {
  const clock = new FakeClock();
  const machine = new Machine({
    clock,
    instanceId: "i-1",
    user: "ec2-user",
    authorizedKeys: [],
    events: new EventHub(clock),
    network: new PrivateNetwork({ clock, connectTimeout: 1000, services: new Map() }),
  });
  const { ssh2 } = await loadSsh2();
  const login = async (username = "ec2-user") => {
    const client = new ssh2.Client();
    const conn = await machine.connect(22, new AbortController().signal);
    const outcome = Promise.race([
      once(client, "ready").then(() => "in"),
      once(client, "error").then(([error]) => (error as Error).message),
    ]);
    client.on("error", () => {});
    client.connect({
      // Cast: any duplex stream will do.
      sock: duplexFromConn(conn) as unknown as NonNullable<ConnectConfig["sock"]>,
      username,
      privateKey: pair.privateKey,
      readyTimeout: 0,
    });
    const result = await outcome.catch((error: Error) => error.message);
    client.end();
    await settle();
    return result;
  };
  const refused = /authentication methods failed/;
  assert.match(await login(), refused);
  machine.pushKey("root", pair.publicKey);
  assert.match(await login(), refused);
  machine.pushKey("ec2-user", pair.publicKey);
  assert.equal(await login(), "in");
  await clock.advance(59_000);
  assert.equal(await login(), "in");
  await clock.advance(1_000);
  assert.match(await login(), refused);
  machine.close();
  await settle();
});

Deno.test("SendSSHPublicKey answers as the service does", async () => {
  await using sandbox = await startSandbox({
    seed: 1,
    instances: [{ name: "up" }, { name: "down", state: "stopped" }],
    deny: [],
  });
  const [up, down] = sandbox.instances();
  const send = (input: Record<string, unknown>) =>
    callInstanceConnect(sandbox, "SendSSHPublicKey", {
      InstanceId: up!.instanceId,
      InstanceOSUser: "ec2-user",
      SSHPublicKey: pair.publicKey,
      ...input,
    });
  const fine = await send({});
  assert.equal(fine.status, 200);
  assert.equal(json(fine).Success, true);
  const codeOf = async (input: Record<string, unknown>) => json(await send(input)).__type;
  assert.equal(await codeOf({ InstanceId: "i-00000000000000000" }), "EC2InstanceNotFoundException");
  assert.equal(
    await codeOf({ InstanceId: down!.instanceId }),
    "EC2InstanceStateInvalidException",
  );
  assert.equal(await codeOf({ InstanceOSUser: "not a user" }), "InvalidArgsException");
  assert.equal(await codeOf({ SSHPublicKey: "x".repeat(100) }), "InvalidArgsException");
  assert.equal(await codeOf({ SSHPublicKey: undefined }), "ValidationException");
});
