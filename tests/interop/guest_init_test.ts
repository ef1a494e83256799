/**
 * The agent as process 1, without a virtual machine: namespaces of its own for processes, mounts, host
 * name and network, busybox's DHCP server at the other end of the network, and this test as its host.
 *
 * @module
 */

import assert from "node:assert/strict";
import { GuestBackend } from "../../lib/backend/guest_backend.ts";
import { systemClock } from "../../lib/core/mod.ts";
import { listenVsock, type VsockListener } from "../../lib/vsock/mod.ts";
import { CONFIG, services } from "../protocol/pair.ts";
import { getPage } from "../guest/stack.ts";
import { interopTest, need } from "../support/external.ts";

const ROOT = new URL("../../", import.meta.url).pathname;

const NEEDS = [
  Deno.build.os === "linux" ? "" : "needs Linux",
  need("ip", "iproute2"),
  need("unshare", "util-linux"),
  need("nsenter", "util-linux"),
  need("busybox", "busybox-static"),
  mayUnshare() ? "" : "needs root with CAP_SYS_ADMIN",
];

function mayUnshare(): boolean {
  try {
    return new Deno.Command("unshare", { args: ["-pmnu", "--fork", "true"], stderr: "null" })
      .outputSync().success;
  } catch {
    return false;
  }
}

/**
 * Brings up the far end of the network, then becomes the agent. `/run` and the resolver's file are
 * covered, so that nothing is written to the machine that runs the test.
 */
const SCRIPT = `
mount -t tmpfs tmpfs /run
mount --bind "$DIR/resolv.conf" /etc/resolv.conf
mount -t sysfs sysfs /sys
unshare --net sleep 120 </dev/null >/dev/null 2>&1 &
server=$!
while [ "$(readlink /proc/$server/ns/net)" = "$(readlink /proc/self/ns/net)" ]; do sleep 0.01; done
ip link add eth0 type veth peer name far netns $server
in_server() { nsenter --target $server --net "$@"; }
in_server ip link set lo up
in_server ip addr add 10.9.8.1/24 dev far
in_server ip link set far up
in_server busybox udhcpd -f "$DIR/udhcpd.conf" </dev/null >/dev/null 2>&1 &
in_server busybox httpd -f -p 10.9.8.1:80 -h "$DIR/www" </dev/null >/dev/null 2>&1 &
exec "$@"
`;

/** A running agent and its host. */
class Init implements AsyncDisposable {
  readonly backend: GuestBackend;
  readonly #dir: string;
  readonly #path: string;
  readonly #listener: VsockListener;
  readonly #process: Deno.ChildProcess;
  readonly #reading: Promise<void>;
  /** What the console shows. */
  console = "";

  constructor(dir: string, listener: VsockListener) {
    this.#dir = dir;
    this.#listener = listener;
    this.#path = `${dir}/bin:${Deno.env.get("PATH")}`;
    this.#process = new Deno.Command("unshare", {
      args: [
        ...["--pid", "--fork", "--kill-child", "--mount", "--mount-proc", "--uts", "--net"],
        ...["sh", "-c", SCRIPT, "sh"],
        ...[Deno.execPath(), "run", "-A", "--quiet", "--no-prompt", `${ROOT}agent.ts`],
        ...["init", "--host", `unix:${dir}/host`],
      ],
      env: { DIR: dir, PATH: this.#path, NO_COLOR: "1" },
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    }).spawn();
    this.#reading = this.#read();
    this.backend = new GuestBackend({
      accept: (options) => listener.accept(options),
      config: () => Promise.resolve({ ...CONFIG, log: { level: "debug" } }),
      services: services(),
      connectTimeout: 30_000,
    });
  }

  /** Pid of the agent, as this side counts. */
  async pid(): Promise<number> {
    const { pid } = this.#process;
    const [child] = (await Deno.readTextFile(`/proc/${pid}/task/${pid}/children`)).split(" ");
    return Number(child);
  }

  /** Runs a shell in the process and mount namespaces of the agent, until it has ended. */
  async shell(script: string): Promise<void> {
    const { success } = await new Deno.Command("nsenter", {
      args: ["--target", String(await this.pid()), "--pid", "--mount", "sh", "-c", script],
      env: { PATH: this.#path },
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).output();
    assert.ok(success, script);
  }

  /** Waits for the console to show something. */
  async saw(pattern: RegExp): Promise<void> {
    await this.until(() => Promise.resolve(pattern.test(this.console)), String(pattern));
  }

  /** Waits for something that happens by itself. */
  async until(condition: () => Promise<boolean>, what: string): Promise<void> {
    const end = systemClock.monotonic() + 20_000;
    while (!await condition()) {
      if (systemClock.monotonic() > end) assert.fail(`not in time: ${what}\n${this.console}`);
      await systemClock.sleep(20);
    }
  }

  /** How the machine ended. */
  async ended(): Promise<Deno.CommandStatus> {
    const status = await this.#process.status;
    await this.#reading;
    return status;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.backend.close();
    try {
      this.#process.kill("SIGKILL"); // and with it all that is in the namespaces
    } catch {
      // It has switched itself off.
    }
    await this.ended();
    this.#listener.close();
    await Deno.remove(this.#dir, { recursive: true });
  }

  async #read(): Promise<void> {
    for await (const text of this.#process.stderr.pipeThrough(new TextDecoderStream())) {
      this.console += text;
    }
  }
}

async function startInit(): Promise<Init> {
  const dir = await Deno.makeTempDir({ prefix: "awsocks-init-" });
  await Deno.mkdir(`${dir}/bin`);
  await Deno.mkdir(`${dir}/www`);
  const busybox = new TextDecoder().decode(
    (await new Deno.Command("sh", { args: ["-c", "command -v busybox"] }).output()).stdout,
  );
  for (const name of ["udhcpc", "usleep"]) await Deno.symlink(busybox.trim(), `${dir}/bin/${name}`);
  await Deno.writeTextFile(`${dir}/www/index.html`, "from the far end");
  await Deno.writeTextFile(`${dir}/resolv.conf`, "# none yet\n");
  await Deno.writeTextFile(
    `${dir}/udhcpd.conf`,
    `start 10.9.8.20\nend 10.9.8.30\ninterface far\nlease_file ${dir}/leases\npidfile ${dir}/pid\n` +
      "option subnet 255.255.255.0\nopt router 10.9.8.1\nopt dns 10.9.8.1\noption domain lab.example\n" +
      "option lease 600\n",
  );
  await Deno.writeTextFile(`${dir}/leases`, "");
  const listener = await listenVsock({ kind: "unix", path: `${dir}/host` });
  return new Init(dir, listener);
}

interopTest(
  "process 1 gets its network, serves the host, reaps orphans, switches off",
  NEEDS,
  async () => {
    await using init = await startInit();
    const { backend } = init;
    await backend.vmDirect.start();

    await init.saw(/Address 10\.9\.8\.\d+\/24 on eth0/);
    const resolver = await Deno.readTextFile(`/proc/${await init.pid()}/root/etc/resolv.conf`);
    assert.equal(resolver, "search lab.example\nnameserver 10.9.8.1\n");
    const page = await getPage(await backend.vmDirect.dial({ host: "10.9.8.1", port: 80 }), "far");
    assert.equal(new TextDecoder().decode(page), "from the far end");
    const refused = backend.vmDirect.dial({ host: "10.9.8.1", port: 81 });
    await assert.rejects(refused, { code: "destination-refused" });
    const loopback = backend.vmDirect.dial({ host: "127.0.0.1", port: 81 });
    await assert.rejects(loopback, { code: "destination-refused" });

    // Children of a shell that has ended are process 1's, and nobody else's to wait for.
    const pid = await init.pid();
    await init.shell("usleep 200000 & usleep 200000 & exit 0");
    assert.deepEqual((await childrenOf(pid)).filter((name) => name === "usleep").length, 2);
    await init.until(async () => !(await childrenOf(pid)).includes("usleep"), "no orphan is left");
    // The DHCP client, a child of the agent's own, is told of its end nevertheless.
    await init.shell("kill -9 $(pidof udhcpc)");
    await init.saw(/The DHCP client has ended, starting it again/);

    await backend.close();
    await init.saw(/Switching off/);
    // In a namespace this is how switching off ends process 1; see reboot(2).
    assert.equal((await init.ended()).success, false);
    assert.ok(!/panic|A bug/.test(init.console), init.console);
  },
);

interopTest("a signal to process 1 switches off", NEEDS, async () => {
  await using init = await startInit();
  await init.backend.vmDirect.start();
  Deno.kill(await init.pid(), "SIGTERM");
  await init.saw(/Switching off/);
  await init.ended();
});

/** Names of the children of a process, those that have ended and that nobody has waited for included. */
async function childrenOf(parent: number): Promise<string[]> {
  const names: string[] = [];
  for await (const { name: task } of Deno.readDir(`/proc/${parent}/task`)) {
    const pids = await Deno.readTextFile(`/proc/${parent}/task/${task}/children`).catch(() => "");
    for (const pid of pids.split(" ").filter(Boolean)) {
      const stat = await Deno.readTextFile(`/proc/${pid}/stat`).catch(() => "");
      names.push(/\((.*)\)/s.exec(stat)?.[1] ?? "");
    }
  }
  return names;
}
