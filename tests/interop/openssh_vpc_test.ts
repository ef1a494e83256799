/**
 * The whole program with OpenSSH's sshd as the instance, in a VPC that is unreachable but through it.
 *
 * @module
 */

import assert from "node:assert/strict";
import { chromium, withBrowserFolder } from "../support/chromium.ts";
import { curlDown, curlUp } from "../support/curl_transfers.ts";
import { curl, interopTest, need, note } from "../support/external.ts";
import { type Program, startProgram } from "../support/program.ts";
import { findSshd, SSHD_REMEDY } from "../support/sshd.ts";
import {
  ABSENT_HOST,
  startVpc,
  type Vpc,
  VPC_NEED,
  VPC_TEXT,
  type VpcOptions,
} from "../support/vpc_namespace.ts";

const NEEDS = [VPC_NEED, findSshd() ? "" : SSHD_REMEDY, need("curl")];
const PAGE = "http://hello.sandbox.internal/";
const LARGE = 200_000_000;

interface Running extends AsyncDisposable {
  readonly vpc: Vpc;
  readonly program: Program;
  /** `127.0.0.1:PORT` of the proxy. */
  readonly proxy: string;
}

/** A VPC and `awsocks start` with its sshd as the instance. */
async function startInVpc(options: VpcOptions = {}): Promise<Running> {
  const vpc = await startVpc(options);
  const program = startProgram([
    ...["start", "--sandbox", "--sshd", `${vpc.address}:22`, "-k", vpc.sshKey],
    ...["-l", "127.0.0.1:0", "--no-fallback", "-v"],
  ], { limit: 600_000 });
  const close = async () => {
    await program[Symbol.asyncDispose]();
    await vpc.close();
  };
  try {
    const [, port] = await program.saw(/listens on 127\.0\.0\.1:(\d+)/);
    return { vpc, program, proxy: `127.0.0.1:${port}`, [Symbol.asyncDispose]: close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function endsWell(program: Program): Promise<void> {
  const { code, stderr } = await program.stop();
  assert.equal(code, 0, stderr);
  assert.doesNotMatch(stderr, / ERROR |Uncaught/);
}

interopTest(
  "OpenSSH in a VPC: curl loads pages by names that resolve inside only",
  NEEDS,
  async () => {
    await using running = await startInVpc();
    const { vpc, program, proxy } = running;
    const direct = await curl(["--max-time", "5", `http://${vpc.address}/`]);
    assert.equal(direct.code, 7, "the site is out of reach without the proxy");
    for (const host of ["hello.sandbox.internal", "only-inside.internal", "www.example.com"]) {
      const { stdout, stderr } = await curl(["--socks5-hostname", proxy, `http://${host}/`]);
      assert.ok(stdout.includes(VPC_TEXT) && stdout.includes(host), stderr);
    }
    for (
      const way of [["--socks5", proxy], ["-x", `http://${proxy}`], ["-p", "-x", `http://${proxy}`]]
    ) {
      const { stdout, stderr } = await curl([...way, "http://127.0.0.1/"]);
      assert.ok(stdout.includes(VPC_TEXT), stderr);
    }
    await endsWell(program);
  },
);

interopTest(
  "OpenSSH in a VPC: SOCKS replies tell why a destination cannot be reached",
  NEEDS,
  async () => {
    await using running = await startInVpc();
    const { program, proxy } = running;
    for (
      const [url, reply] of [
        ["http://nowhere.internal/", 4],
        ["http://hello.sandbox.internal:81/", 5],
        [`http://${ABSENT_HOST}/`, 4],
      ] as const
    ) {
      const { code, stderr } = await curl(["--socks5-hostname", proxy, url]);
      assert.equal(code, 97, url);
      assert.match(stderr, new RegExp(`\\(${reply}\\)`), `${url}: ${stderr}`);
    }
    await endsWell(program);
  },
);

interopTest("OpenSSH in a VPC: Chromium loads the page", [...NEEDS, need("chromium")], async () => {
  await withBrowserFolder(async (folder) => {
    await using running = await startInVpc();
    const { program, proxy } = running;
    const args = [`--proxy-server=socks5://${proxy}`, "--dump-dom", PAGE];
    const { code, stdout, stderr } = await chromium(folder, args);
    assert.equal(code, 0, stderr);
    assert.ok(stdout.includes(`<h1>${VPC_TEXT}</h1>`), `${stdout}\n${stderr}`);
    await endsWell(program);
  });
});

interopTest(
  "OpenSSH in a VPC: 200 MB down and 200 MB up, with new keys every 16 MB",
  NEEDS,
  async () => {
    await using running = await startInVpc({ sshdConfig: ["RekeyLimit 16M"] });
    const { vpc, program, proxy } = running;
    const transfer = {
      via: ["--socks5-hostname", proxy],
      site: PAGE,
      size: LARGE,
      name: "curl, OpenSSH in a VPC",
    };
    await curlDown(transfer);
    await curlUp(transfer);
    const exchanges = vpc.log.match(/SSH2_MSG_KEXINIT sent/g)?.length ?? 0;
    await note(`OpenSSH exchanged keys ${exchanges} times`);
    // The first two are for the two connections' start at most; compression makes the rest fewer.
    assert.ok(exchanges > 2, `${exchanges} key exchanges`);
    await endsWell(program);
  },
);

interopTest("OpenSSH in a VPC: sshd restarts, and the next request works", NEEDS, async () => {
  await using running = await startInVpc();
  const { vpc, program, proxy } = running;
  const via = ["--socks5-hostname", proxy];
  const begun = Promise.withResolvers<void>();
  const download = curl([...via, `${PAGE}bytes?size=60000000000&seed=1`], {
    onOutput: () => begun.resolve(),
  });
  await begun.promise;
  await vpc.stopSshd();
  assert.notEqual((await download).code, 0, "a connection that is lost must not look complete");
  await vpc.startSshd();
  const start = performance.now();
  const { stdout, stderr } = await curl([...via, PAGE]);
  assert.ok(stdout.includes(VPC_TEXT), stderr);
  await note(`OpenSSH restarted: next page after ${(performance.now() - start).toFixed(0)} ms`);
  await endsWell(program);
});
