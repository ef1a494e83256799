/**
 * The guest behind VM mode: how soon it is ready, what memory it takes, and what the end of its tunnel
 * leaves alone.
 *
 * @module
 */

import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { gunzipSync, gzipSync } from "node:zlib";
import { createGuestBackend } from "../../lib/backend/guest_backend.ts";
import { endpointsForGuest, environmentForGuest } from "../../lib/cli/guest_view.ts";
import { resolveSettings } from "../../lib/config/mod.ts";
import { type Conn, readAll, writeAll } from "../../lib/core/mod.ts";
import { fixedCredentials } from "../../lib/credentials/mod.ts";
import { PAGE_TEXT, startSandbox } from "../../lib/sandbox/mod.ts";
import {
  createGuestLink,
  createQemuMachine,
  findGuestImage,
  type GuestImage,
  type Machine,
} from "../../lib/vm/mod.ts";
import { writeCpio } from "../../scripts/guest/cpio.ts";
import { interopTest, note } from "../support/external.ts";
import { guestNeed } from "../support/qemu_guest.ts";
import { imageRoot } from "../support/vm_program.ts";

const PORT = 5000;

/** Seconds that the project allows a guest without KVM, on a machine that does nothing else. */
const READY_TARGET = 12;

/** Megabytes that the programs of a guest may take before there is traffic. */
const MAX_MB = 100;

/** Shell that goes on telling what memory the guest's programs take, in kB and by name. */
const PROBE = `(while sleep 3; do
  for status in /proc/[0-9]*/status; do
    awk '/^Name:/ { name = $2 } /^VmRSS:/ { rss = $2 } END { if (rss) printf "%s=%s ", name, rss }' $status
  done; echo "kB resident"
done) &
exec awsocks-agent`;

/** The image with an `/init` that tells. */
async function watched(image: GuestImage, folder: string): Promise<GuestImage> {
  const init = await Deno.readTextFile(new URL("../../guest/init", import.meta.url));
  const data = new TextEncoder().encode(init.replace("exec awsocks-agent", PROBE));
  const archives = [
    gunzipSync(await Deno.readFile(image.initrd)),
    writeCpio([{ kind: "file", path: "init", mode: 0o755, data }]),
  ];
  const initrd = `${folder}/initrd.gz`;
  await Deno.writeFile(
    initrd,
    gzipSync(Buffer.concat(archives), { level: 1 }),
  );
  return { ...image, initrd };
}

/** The next line about memory: kB by program. */
function nextMemory({ console }: Machine): Promise<Map<string, number>> {
  return new Promise((resolve) => {
    const stop = console.onLine((line) => {
      if (!line.endsWith("kB resident")) return;
      stop();
      const found = [...line.matchAll(/(\S+)=(\d+)/g)];
      resolve(new Map(found.map(([, name, kB]) => [name!, Number(kB)])));
    });
  });
}

async function get(conn: Conn): Promise<string> {
  await writeAll(
    conn,
    new TextEncoder().encode("GET / HTTP/1.0\r\nHost: hello.sandbox.internal\r\n\r\n"),
  );
  const answer = new TextDecoder().decode(await readAll(conn));
  conn.close();
  return answer;
}

interopTest(
  "guest: ready soon and small; a lost tunnel costs neither the machine nor the session",
  [guestNeed()],
  async () => {
    await using sandbox = await startSandbox();
    const folder = await Deno.makeTempDir({ prefix: "awsocks-g-" });
    try {
      const env = { PATH: Deno.env.get("PATH")!, TMPDIR: folder, HOME: folder };
      const image = await findGuestImage({ arch: "x86_64", folder: imageRoot(), folders: [] });
      const machine = await createQemuMachine({
        image: await watched(image, folder),
        memory: 512,
        cpus: 2,
        vsockDevice: Deno.env.get("AWSOCKS_VSOCK_DEVICE"),
        accelerators: ["tcg"],
        agentArgs: ["--host", `2:${PORT}`],
        env,
      });
      const states: string[] = [];
      machine.onEvent(({ state }) => states.push(state));
      const link = createGuestLink({ machine, port: PORT });
      let tunnel: Conn | undefined;
      const { settings } = resolveSettings({
        flags: {
          "instance-id": sandbox.instanceId,
          "ssh-user": sandbox.sshUser,
          "ssh-key": sandbox.sshKeyPath,
        },
        env: {},
        file: { path: undefined, defaults: {}, profiles: new Map() },
        home: folder,
      });
      const backend = createGuestBackend({
        accept: async (options) => tunnel = await link.accept(options),
        readyLimit: 120_000,
        settings,
        region: sandbox.region,
        credentials: fixedCredentials(sandbox.credentials),
        env,
        guestEnv: environmentForGuest(sandbox.env),
        guestEndpoints: endpointsForGuest({ ssmmessages: sandbox.gateway }),
        home: folder,
        trustedHostsFile: `${folder}/trusted_hosts`,
      });
      try {
        const start = performance.now();
        await backend.vmDirect.start();
        const seconds = (performance.now() - start) / 1000;
        await note(
          `guest: boot to ready without KVM in ${seconds.toFixed(1)} s, target ${READY_TARGET}`,
        );
        assert.equal(backend.state, "idle");

        await nextMemory(machine); // of a guest that may not have settled yet
        const memory = await nextMemory(machine);
        const megabytes = [...memory.values()].reduce((a, b) => a + b) * 1024 / 1e6;
        const list = [...memory].map(([name, kB]) => `${name} ${kB} kB`).join(", ");
        await note(`guest: ${megabytes.toFixed(0)} MB resident before traffic: ${list}`);
        assert.ok(megabytes < MAX_MB, list);

        const target = { host: "hello.sandbox.internal", port: 80 };
        assert.ok((await get(await backend.dial(target))).includes(PAGE_TEXT));
        const open = await backend.dial(target);
        const cut = performance.now();
        tunnel!.close();
        await assert.rejects(readAll(open));
        open.close();
        assert.ok((await get(await backend.dial(target))).includes(PAGE_TEXT));
        await note(
          `guest: page ${((performance.now() - cut) / 1000).toFixed(1)} s after the tunnel was cut`,
        );
        assert.deepEqual(states, ["starting", "running"]);
        assert.deepEqual(sandbox.sessions().map(({ live }) => live), [true]);
      } finally {
        await backend.close();
        await link.close();
      }
      assert.deepEqual(sandbox.sessions().map(({ live }) => live), [false]);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
);
