/**
 * What both sides of the protocol must do together, with a real shell, whatever carries it.
 *
 * @module
 */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { type Conn, isAwsocksError } from "../../lib/core/mod.ts";
import {
  createShellExecutor,
  HostSession,
  runVsockClient,
  type VsockClientOptions,
} from "../../lib/exec/mod.ts";
import { isAlive, openPipes, outcomeOf } from "./support.ts";

/** Makes a connection: the client's end and the host's. */
export type Transport = () => Promise<{
  readonly near: Conn;
  readonly far: Conn;
  readonly close?: () => Promise<void>;
}>;

/** Runs a test with both sides over a transport. */
export async function withSession(
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

/** Tests by name. */
export const SCENARIOS: Readonly<Record<string, (transport: Transport) => Promise<void>>> = {
  "single: output, errors and status of one command": async (transport) => {
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
  },

  "persistent: 30 commands leave no descriptor": async (transport) => {
    await withSession(transport, { persistent: true }, async (host, client) => {
      const before = openPipes();
      for (let i = 0; i < 30; i++) {
        const outcome = await outcomeOf(host, `cat; echo ${i} >&2; exit ${i}`, `${i}`);
        assert.deepEqual(outcome, { stdout: `${i}`, stderr: `${i}\n`, status: i });
      }
      // Tests beside this one may open some; a leak would be one or more for each command.
      assert.ok(openPipes() < before + 25);
      host.close();
      assert.deepEqual(await client, { commands: 30, status: 29 });
    });
  },

  "output streams while the command runs and input reaches it": async (transport) => {
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
  },

  "20 MB go through cat, every byte right": async (transport) => {
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
  },

  "a host that goes takes the command's processes with it": async (transport) => {
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
  },

  "a host that goes stops a command that writes without end": async (transport) => {
    await withSession(transport, {}, async (host, client) => {
      const { events } = await host.run("yes");
      for await (const event of events) {
        assert.equal(event.type, "stdout");
        break;
      }
      host.close();
      await assert.rejects(client, hangUp);
    });
  },

  "a host that has only closed its own side gets everything": async (transport) => {
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
  },

  "what the host still sends at the end costs it nothing": async (transport) => {
    await withSession(transport, {}, async (host, client) => {
      // Ends at once, with input on its way: a connection closed before that was read is reset, and
      // with it goes what the host has not read yet.
      const { events, write } = await host.run("head -c 30000 /dev/zero; exit 3");
      for (let i = 0; i < 20; i++) await write(new Uint8Array(50_000));
      await client;
      let bytes = 0;
      let status: number | undefined;
      for await (const event of events) {
        if (event.type === "exit") status = event.status;
        else bytes += event.data.byteLength;
      }
      assert.equal(bytes, 30_000);
      assert.equal(status, 3);
    });
  },
};
