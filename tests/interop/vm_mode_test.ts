/**
 * VM mode as a user runs it: real QEMU, the image of `deno task build:guest`, a real vsock device.
 *
 * The guest is translated where there is no KVM, at a tenth of the speed. Tests of the arm64 image run
 * with AWSOCKS_TEST_AARCH64=1.
 *
 * @module
 */

import assert from "node:assert/strict";
import { PAGE_TEXT, startSandbox } from "../../lib/sandbox/mod.ts";
import { COMPILE_NEED, compiled } from "../support/compiled.ts";
import { curlDown } from "../support/curl_transfers.ts";
import { curl, interopTest, need, note } from "../support/external.ts";
import { type GuestArch, guestNeed } from "../support/qemu_guest.ts";
import { peersOf, VmProgram } from "../support/vm_program.ts";
import { webSite } from "../support/web_site.ts";

const PAGE = "http://hello.sandbox.internal/";
const LARGE = 50_000_000;
const OUTSIDE_TEXT = "A page outside of the VPC";

const needs = (arch: GuestArch = "x86_64") => [need("curl"), guestNeed(arch)];

/** This machine's loopback as the guest's own network reaches it. */
const HOST = "10.0.2.2";

/** A web site on this machine that only the route `vm-direct` has a way to. */
function outside() {
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen() {} },
    webSite(OUTSIDE_TEXT),
  );
  return {
    url: `http://${HOST}:${server.addr.port}/`,
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}

/** Fetches a page until that works: whatever was killed is on its way up again. */
async function page(via: readonly string[], url: string, text: string): Promise<void> {
  const { code, stdout, stderr } = await curl([...via, url], { limit: 200_000 });
  assert.equal(code, 0, stderr);
  assert.ok(stdout.includes(text), stdout);
}

function seconds(since: number): string {
  return ((performance.now() - since) / 1000).toFixed(1);
}

interopTest(
  "vm mode: pages and 50 MB by proxy and vm-direct; a killed machine comes back",
  needs(),
  async () => {
    await using site = outside();
    const start = performance.now();
    await using vm = await VmProgram.start([
      "--sandbox",
      "--no-compression",
      "--route-vm-direct",
      HOST,
    ]);
    const via = ["--socks5-hostname", await vm.proxy()];
    await note(`vm mode: listening after ${seconds(start)} s`);
    await vm.connected();
    await note(`vm mode: guest is ready after ${seconds(start)} s`);
    await page(via, PAGE, PAGE_TEXT);
    await note(`vm mode: first page after ${seconds(start)} s`);
    await page(via, site.url, OUTSIDE_TEXT);
    await curlDown({ via, site: PAGE, size: LARGE, name: "vm mode, proxy" });
    await curlDown({ via, site: site.url, size: LARGE, name: "vm mode, vm-direct" });

    for (const victim of ["qemu", "device"] as const) {
      const killed = performance.now();
      Deno.kill((await vm.pids())[victim], "SIGKILL");
      // The request waits for the machine that takes its place.
      await page(via, PAGE, PAGE_TEXT);
      await note(`vm mode: page ${seconds(killed)} s after ${victim} was killed`);
    }
    await page(via, site.url, OUTSIDE_TEXT);
    await vm.endsWell();
  },
);

interopTest(
  "vm mode: new credentials reach the guest; the host's process has no connection to AWS",
  needs(),
  async () => {
    await using sandbox = await startSandbox();
    const home = await Deno.makeTempDir({ prefix: "awsocks-home-" });
    const write = async ({ accessKeyId, secretAccessKey } = sandbox.credentials) => {
      const lines = [
        "[default]",
        `aws_access_key_id = ${accessKeyId}`,
        `aws_secret_access_key = ${secretAccessKey}`,
      ];
      await Deno.writeTextFile(`${home}/.aws/new`, `${lines.join("\n")}\n`, { mode: 0o600 });
      await Deno.rename(`${home}/.aws/new`, `${home}/.aws/credentials`);
    };
    try {
      await Deno.mkdir(`${home}/.aws`);
      await write();
      const args = ["-i", sandbox.instanceId, "-u", sandbox.sshUser, "-k", sandbox.sshKeyPath];
      await using vm = await VmProgram.start(["-r", sandbox.region, ...args], {
        home,
        env: {
          AWS_ENDPOINT_URL: sandbox.endpoint,
          AWSOCKS_ENDPOINTS_SSMMESSAGES: sandbox.gateway,
          AWSOCKS_LAZY_UNTIL_READY: "wait",
        },
      });
      const { program } = vm;
      const via = ["--socks5-hostname", await vm.proxy()];
      await page(via, PAGE, PAGE_TEXT);
      const own = [sandbox.endpoint, sandbox.gateway].map((url) => Number(new URL(url).port));
      const peers = await peersOf(program.pid);
      assert.deepEqual(peers.filter((port) => own.includes(port)), []);

      // From now on the first keys are refused.
      await write(sandbox.setCredentials());
      await program.saw(/(AWS credentials from the host[^]*){2}/, "stderr");
      const [first] = sandbox.sessions();
      sandbox.terminate(first!.sessionId);
      await page(via, PAGE, PAGE_TEXT);
      assert.equal(sandbox.sessions().length, 2);
      await vm.endsWell();
      assert.doesNotMatch(program.stderr, new RegExp(sandbox.credentials.secretAccessKey));
      for (const { live } of sandbox.sessions()) assert.ok(!live, "a session was left");
    } finally {
      await Deno.remove(home, { recursive: true });
    }
  },
);

interopTest(
  "compiled: vm mode loads a page and ends its machine",
  [COMPILE_NEED, ...needs()],
  async () => {
    await using vm = await VmProgram.start(["--sandbox"], { binary: await compiled("awsocks") });
    await page(["--socks5-hostname", await vm.proxy()], PAGE, PAGE_TEXT);
    await vm.endsWell();
    assert.doesNotMatch(vm.program.stderr, /permission|NotCapable|Uncaught/i);
  },
);

const arm = Deno.env.get("AWSOCKS_TEST_AARCH64")
  ? ""
  : "needs AWSOCKS_TEST_AARCH64=1: it takes minutes";

interopTest(
  "vm mode: a page and 50 MB by proxy through the arm64 image",
  [arm, ...needs("aarch64")],
  async () => {
    const start = performance.now();
    await using vm = await VmProgram.start(["--sandbox", "--no-compression"], { arch: "aarch64" });
    const via = ["--socks5-hostname", await vm.proxy()];
    await vm.connected();
    await note(`vm mode, arm64: guest is ready after ${seconds(start)} s`);
    await page(via, PAGE, PAGE_TEXT);
    await curlDown({ via, site: PAGE, size: LARGE, name: "vm mode, arm64, proxy" });
    await vm.endsWell();
  },
);
