/**
 * Both sides together, over every transport that needs no virtual machine.
 *
 * @module
 */

import assert from "node:assert/strict";
import { connPair, isAwsocksError } from "../../lib/core/mod.ts";
import { HostSession } from "../../lib/exec/mod.ts";
import { connectVsock, createMemoryVsock, listenVsock } from "../../lib/vsock/mod.ts";
import { SCENARIOS, type Transport, withSession } from "./scenarios.ts";
import { outcomeOf } from "./support.ts";

const TRANSPORTS: Readonly<Record<string, Transport>> = {
  memory: async () => {
    const network = createMemoryVsock();
    const address = { kind: "vsock", cid: 2, port: 1024 } as const;
    using listener = await network.listenVsock(address);
    const far = listener.accept();
    return { near: await network.connectVsock(address), far: await far };
  },
  "tcp:": async () => {
    using listener = await listenVsock({ kind: "tcp", host: "127.0.0.1", port: 0 });
    const far = listener.accept();
    return { near: await connectVsock(listener.address), far: await far };
  },
  "unix:": async () => {
    const folder = await Deno.makeTempDir();
    using listener = await listenVsock({ kind: "unix", path: `${folder}/host.sock` });
    const far = listener.accept();
    const near = await connectVsock(listener.address);
    return {
      near,
      far: await far,
      close: () => Deno.remove(folder, { recursive: true }),
    };
  },
};

for (const [name, transport] of Object.entries(TRANSPORTS)) {
  for (const [what, scenario] of Object.entries(SCENARIOS)) {
    Deno.test(`${name} ${what}`, () => scenario(transport));
  }
}

Deno.test("HostSession refuses commands that a frame cannot hold, and two at a time", async () => {
  await withSession(TRANSPORTS["memory"]!, { persistent: true }, async (host) => {
    await assert.rejects(
      host.run("x".repeat(65_536)),
      (error) => isAwsocksError(error, "usage") && /65535 bytes, not 65536/.test(error.message),
    );
    const longest = `:${" ".repeat(65_534)}`;
    assert.deepEqual(await outcomeOf(host, longest), { stdout: "", stderr: "", status: 0 });
    const { events } = await host.run("exit 1");
    await assert.rejects(host.run("true"), (error) => isAwsocksError(error, "usage"));
    for await (const event of events) assert.deepEqual(event, { type: "exit", status: 1 });
    assert.equal((await outcomeOf(host, "exit 2")).status, 2);
  });
});

Deno.test("HostSession reports a client that leaves or breaks the protocol", async () => {
  const answers: readonly [Uint8Array | null, "exec-closed" | "exec-protocol-error"][] = [
    [null, "exec-closed"],
    [new Uint8Array([1, 5, 0, 65]), "exec-protocol-error"],
    [new Uint8Array([0, 0, 0]), "exec-protocol-error"],
    [new Uint8Array([3, 0, 0]), "exec-protocol-error"],
    [new Uint8Array([9, 0, 0]), "exec-protocol-error"],
    [new Uint8Array([4, 3, 0, 1, 2, 3]), "exec-protocol-error"],
  ];
  for (const [answer, code] of answers) {
    const [near, far] = connPair();
    const host = new HostSession(near);
    const { events } = await host.run("true");
    if (answer) await far.write(answer);
    await far.closeWrite();
    const drain = async () => {
      for await (const _event of events);
    };
    await assert.rejects(drain(), (error) => isAwsocksError(error, code), `${answer}`);
    far.close();
    await assert.rejects(host.run("true"));
  }
});

Deno.test("HostSession ends with its signal", async () => {
  const [near, far] = connPair();
  const controller = new AbortController();
  const host = new HostSession(near, { signal: controller.signal });
  const { events } = await host.run("sleep 1000");
  const drain = (async () => {
    for await (const _event of events);
  })();
  controller.abort(new DOMException("Stopped", "AbortError"));
  await assert.rejects(drain, { name: "AbortError" });
  far.close();
});
