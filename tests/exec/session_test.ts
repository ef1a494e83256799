/**
 * Both sides together, with a real shell, over every transport that needs no virtual machine.
 *
 * @module
 */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { type Conn, connPair, isAwsocksError } from "../../lib/core/mod.ts";
import {
  createShellExecutor,
  HostSession,
  runVsockClient,
  type VsockClientOptions,
} from "../../lib/exec/mod.ts";
import { connectVsock, createMemoryVsock, listenVsock } from "../../lib/vsock/mod.ts";
import { isAlive, openPipes, outcomeOf } from "./support.ts";

type Transport = () => Promise<{ near: Conn; far: Conn; close?: () => Promise<void> }>;

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

/** Runs a test with both sides over a transport. */
async function withSession(
  transport: Transport,
  options: VsockClientOptions,
  test: (host: HostSession, client: ReturnType<typeof runVsockClient>, far: Conn) => Promise<void>,
): Promise<void> {
  const { near, far, close } = await transport();
  const client = runVsockClient(near, {
    executor: createShellExecutor({ grace: 300 }),
    ...options,
  });
  client.catch(() => {});
  using host = new HostSession(far);
  await test(host, client, far);
  host.close();
  await client.catch(() => {});
  await close?.();
}

const hangUp = (error: unknown) => isAwsocksError(error, "exec-closed");

for (const [name, transport] of Object.entries(TRANSPORTS)) {
  Deno.test(`${name} single: output, errors and status of one command`, async () => {
    await withSession(transport, {}, async (host, client) => {
      const script = "printf out; printf err >&2; cat; exit 7";
      assert.deepEqual(await outcomeOf(host, script, "in"), {
        stdout: "outin",
        stderr: "err",
        status: 7,
      });
      host.close();
      assert.deepEqual(await client, { commands: 1, status: 7 });
    });
  });

  Deno.test(`${name} persistent: 30 commands leave no descriptor`, async () => {
    await withSession(transport, { persistent: true }, async (host, client) => {
      const before = openPipes();
      for (let i = 0; i < 30; i++) {
        const outcome = await outcomeOf(host, `cat; echo ${i} >&2; exit ${i}`, `${i}`);
        assert.deepEqual(outcome, { stdout: `${i}`, stderr: `${i}\n`, status: i });
      }
      assert.ok(openPipes() <= before);
      host.close();
      assert.deepEqual(await client, { commands: 30, status: 29 });
    });
  });

  Deno.test(`${name} output streams while the command runs and input reaches it`, async () => {
    await withSession(transport, {}, async (host) => {
      const { events, write, closeInput } = await host.run('while read x; do echo "got $x"; done');
      await write(new TextEncoder().encode("1\n"));
      let expected = 1;
      for await (const event of events) {
        if (event.type === "exit") {
          assert.equal(event.status, 0);
          break;
        }
        assert.equal(new TextDecoder().decode(event.data), `got ${expected}\n`);
        expected++;
        if (expected > 5) await closeInput();
        else await write(new TextEncoder().encode(`${expected}\n`));
      }
      assert.equal(expected, 6);
    });
  });

  Deno.test(`${name} 20 MB go through cat, every byte right`, async () => {
    await withSession(transport, {}, async (host) => {
      const { events, write, closeInput } = await host.run("cat");
      const sent = createHash("sha256");
      const feeding = (async () => {
        for (let i = 0; i < 100; i++) {
          const piece = new Uint8Array(200_003).fill(i);
          sent.update(piece);
          await write(piece);
        }
        await closeInput();
      })();
      const got = createHash("sha256");
      for await (const event of events) {
        if (event.type === "stdout") {
          assert.ok(event.data.byteLength <= 65_535);
          got.update(event.data);
        } else assert.deepEqual(event, { type: "exit", status: 0 });
      }
      await feeding;
      assert.equal(got.digest("hex"), sent.digest("hex"));
    });
  });

  Deno.test(`${name} a host that goes takes the command's processes with it`, async () => {
    await withSession(transport, {}, async (host, client) => {
      const { events } = await host.run("sleep 1000 & echo $$ $!; wait");
      const pids: number[] = [];
      for await (const event of events) {
        if (event.type === "exit") continue;
        pids.push(...new TextDecoder().decode(event.data).split(" ").map(Number));
        break;
      }
      assert.equal(pids.length, 2);
      host.close();
      await assert.rejects(client, hangUp);
      for (const pid of pids) assert.ok(!await isAlive(pid), `${pid} lives`);
    });
  });

  Deno.test(`${name} a host that goes stops a command that writes without end`, async () => {
    await withSession(transport, {}, async (host, client) => {
      const { events } = await host.run("yes");
      for await (const event of events) {
        assert.equal(event.type, "stdout");
        break;
      }
      host.close();
      await assert.rejects(client, hangUp);
    });
  });

  Deno.test(`${name} a host that has only closed its own side gets everything`, async () => {
    await withSession(transport, { persistent: true }, async (host, client, far) => {
      const { events } = await host.run("sleep 0.5; wc -c; echo end >&2; exit 5");
      await far.closeWrite();
      const seen: string[] = [];
      for await (const event of events) {
        if (event.type === "exit") seen.push(`exit ${event.status}`);
        else if (event.data.byteLength > 0) {
          seen.push(`${event.type} ${new TextDecoder().decode(event.data).trim()}`);
        }
      }
      assert.deepEqual(seen.toSorted(), ["exit 5", "stderr end", "stdout 0"]);
      assert.equal(seen.at(-1), "exit 5");
      assert.deepEqual(await client, { commands: 1, status: 5 });
    });
  });

  Deno.test(`${name} what the host still sends at the end costs it nothing`, async () => {
    await withSession(transport, {}, async (host) => {
      // Ends at once, with input on its way: a connection closed too early would be reset.
      const { events, write } = await host.run("head -c 100000 /dev/zero; exit 3");
      const feeding = (async () => {
        for (let i = 0; i < 50; i++) await write(new Uint8Array(50_000));
      })();
      feeding.catch(() => {});
      let bytes = 0;
      let status: number | undefined;
      for await (const event of events) {
        if (event.type === "exit") status = event.status;
        else bytes += event.data.byteLength;
      }
      assert.equal(bytes, 100_000);
      assert.equal(status, 3);
    });
  });
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
