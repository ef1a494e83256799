/**
 * curl through `awsocks start`, the program as a user runs it.
 *
 * @module
 */

import assert from "node:assert/strict";
import { PAGE_TEXT, startSandbox } from "../../lib/sandbox/mod.ts";
import { curlDown, curlUp } from "../support/curl_transfers.ts";
import { curl, interopTest, need, note } from "../support/external.ts";
import { type Program, startProgram } from "../support/program.ts";

const PAGE = "http://hello.sandbox.internal/";
const CURL = [need("curl")];
const LARGE = 200_000_000;
/** What awsocks and its sandbox, in one process, may take while 200 MB pass in each direction. */
const MAX_RESIDENT_MB = 400;

/** Waits for the ready message. @returns `127.0.0.1:PORT` */
async function listening(program: Program): Promise<string> {
  const [, port] = await program.saw(/listens on 127\.0\.0\.1:(\d+)/);
  return `127.0.0.1:${port}`;
}

/** Ends it as Ctrl-C does: exit code 0, and nothing on standard error but the one line that says so. */
async function endsWell(program: Program): Promise<void> {
  const { code, stderr } = await program.stop();
  assert.equal(code, 0, stderr);
  assert.doesNotMatch(stderr, /ERROR|Uncaught|error:|at file:/);
  assert.equal(stderr.match(/Stopping/g)?.length, 1);
}

/** Largest resident memory of a process so far, in MB. */
async function residentMb(pid: number): Promise<number> {
  const status = await Deno.readTextFile(`/proc/${pid}/status`);
  return Math.round(Number(/VmHWM:\s*(\d+) kB/.exec(status)![1]) / 1000);
}

interopTest(
  "curl: the private page, over SOCKS5 by name and by address, and over HTTP",
  CURL,
  async () => {
    await using program = startProgram(["start", "--sandbox", "-l", "127.0.0.1:0"]);
    const proxy = await listening(program);
    const ways: [string[], string][] = [
      [["--socks5-hostname", proxy], PAGE],
      [["--socks5", proxy], "http://10.0.1.10/"],
      [["-x", `socks5h://${proxy}`], "http://www.example.com/"],
      [["-x", `http://${proxy}`], PAGE],
      [["-p", "-x", `http://${proxy}`], PAGE],
    ];
    for (const [way, url] of ways) {
      const { code, stdout, stderr } = await curl([...way, url]);
      assert.equal(code, 0, `${way.join(" ")}: ${stderr}`);
      assert.ok(stdout.includes(PAGE_TEXT), way.join(" "));
    }
    await endsWell(program);
  },
);

interopTest("curl: user and password, over SOCKS5 and HTTP", CURL, async () => {
  await using program = startProgram(
    ["start", "--sandbox", "-l", "127.0.0.1:0", "--proxy-user", "ada"],
    { env: { AWSOCKS_PROXY_PASSWORD: "p w:d" } },
  );
  const proxy = await listening(program);
  const http = ["-x", `http://${proxy}`];
  for (const way of [["--socks5-hostname", proxy], http, ["-p", ...http]]) {
    const { stdout, stderr } = await curl([...way, "--proxy-user", "ada:p w:d", PAGE]);
    assert.ok(stdout.includes(PAGE_TEXT), stderr);
    const wrong = await curl([...way, "--proxy-user", "ada:wrong", "-o", "/dev/null", "-f", PAGE]);
    assert.notEqual(wrong.code, 0);
  }
  const status = await curl([...http, "-o", "/dev/null", "-w", "%{http_code}", PAGE]);
  assert.equal(status.stdout, "407");
  const { stderr } = await program.stop();
  assert.doesNotMatch(stderr, /p w:d/);
});

interopTest("curl: is told why a destination cannot be reached", CURL, async () => {
  const args = ["start", "--sandbox", "-l", "127.0.0.1:0", "--no-fallback"];
  await using program = startProgram([...args, "--route-block", "blocked.example"]);
  const proxy = await listening(program);
  for (
    const [host, reply, status] of [
      ["blocked.example", 2, "403"],
      ["no-network.sandbox.internal", 3, "502"],
      ["nowhere.sandbox.internal", 4, "502"],
      ["unreachable.sandbox.internal", 4, "502"],
      ["refused.sandbox.internal", 5, "502"],
    ] as const
  ) {
    const socks = await curl(["--socks5-hostname", proxy, `http://${host}/`]);
    assert.equal(socks.code, 97, host);
    assert.match(socks.stderr, new RegExp(`\\(${reply}\\)`), host);
    const http = ["-p", "-x", `http://${proxy}`, "-w", "%{http_connect}", `http://${host}/`];
    assert.equal((await curl(http)).stdout, status, host);
  }
  const { code } = await program.stop();
  assert.equal(code, 0);
});

interopTest(
  "curl: 200 MB down and 200 MB up have the right digest, in bounded memory",
  CURL,
  async () => {
    const args = ["start", "--sandbox", "-l", "127.0.0.1:0"];
    await using program = startProgram(args, { limit: 600_000 });
    const proxy = await listening(program);
    const via = ["--socks5-hostname", proxy];
    await curlDown({ via, site: PAGE, size: LARGE, name: "curl, sandbox" });
    await curlUp({ via, site: PAGE, size: LARGE, name: "curl, sandbox" });
    if (Deno.build.os === "linux") {
      const resident = await residentMb(program.pid);
      await note(`curl, sandbox: awsocks and sandbox took ${resident} MB of memory at most`);
      assert.ok(resident < MAX_RESIDENT_MB, `${resident} MB`);
    }
    await endsWell(program);
  },
);

/** A proxy over a sandbox of the test's own, and a download through it that has begun and never ends. */
async function endlessDownload() {
  const sandbox = await startSandbox();
  const args = ["start", "-i", sandbox.instanceId, "-k", sandbox.sshKeyPath, "-l", "127.0.0.1:0"];
  const program = startProgram(args, { env: sandbox.env });
  const proxy = await listening(program);
  const begun = Promise.withResolvers<void>();
  const download = curl(["--socks5-hostname", proxy, `${PAGE}bytes?size=60000000000`], {
    onOutput: () => begun.resolve(),
  });
  await begun.promise;
  return {
    sandbox,
    program,
    download,
    async [Symbol.asyncDispose]() {
      await program[Symbol.asyncDispose]();
      await download;
      await sandbox.close();
    },
  };
}

interopTest(
  "curl: Ctrl-C during a download ends within 5 s and leaves no session",
  CURL,
  async () => {
    await using running = await endlessDownload();
    const { sandbox, program, download } = running;
    const start = performance.now();
    await endsWell(program);
    const elapsed = performance.now() - start;
    await note(`curl: Ctrl-C during a download ended after ${elapsed.toFixed(0)} ms`);
    assert.ok(elapsed < 5000, `${elapsed} ms`);
    assert.notEqual((await download).code, 0, "curl notices that the download is incomplete");
    assert.ok(sandbox.sessions().length > 0);
    assert.deepEqual(sandbox.sessions().filter(({ live }) => live), []);
  },
);

interopTest("curl: a second Ctrl-C does not wait for AWS", CURL, async () => {
  await using running = await endlessDownload();
  const { sandbox, program } = running;
  // TerminateSession is answered so late that the clean end would take its whole time.
  sandbox.setFaults({ throttle: 1 });
  program.signal("SIGINT");
  await program.saw(/Stopping/, "stderr");
  const start = performance.now();
  program.signal("SIGINT");
  const { code } = await program.finished;
  const elapsed = performance.now() - start;
  assert.equal(code, 130);
  assert.ok(elapsed < 1000, `${elapsed} ms`);
});
