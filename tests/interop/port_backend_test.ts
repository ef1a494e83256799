/**
 * curl through `awsocks start --backend port`: no SSH and no key on the way.
 *
 * @module
 */

import assert from "node:assert/strict";
import { PAGE_TEXT } from "../../lib/sandbox/mod.ts";
import { curlDown, curlUp } from "../support/curl_transfers.ts";
import { curl, interopTest, need, note } from "../support/external.ts";
import { type Program, startProgram } from "../support/program.ts";

const CURL = [need("curl")];

function start(): Program {
  const args = ["start", "--sandbox", "--backend", "port", "--no-fallback", "-l", "127.0.0.1:0"];
  return startProgram(args, { limit: 300_000 });
}

/** Waits for the ready message. @returns curl's options that lead through the proxy */
async function via(program: Program): Promise<string[]> {
  const [, port] = await program.saw(/listens on 127\.0\.0\.1:(\d+)/);
  return ["--socks5-hostname", `127.0.0.1:${port}`];
}

/** Loads the page of a host. */
async function loadPage(proxy: readonly string[], host: string): Promise<void> {
  const { code, stdout, stderr } = await curl([...proxy, `http://${host}/`]);
  assert.equal(code, 0, `${host}: ${stderr}`);
  assert.ok(stdout.includes(PAGE_TEXT), host);
}

interopTest(
  "curl: three private hosts and 50 requests at a time to one, by port forwarding",
  CURL,
  async () => {
    await using program = start();
    const proxy = await via(program);
    for (const host of ["hello.sandbox.internal", "www.example.com", "10.0.1.20"]) {
      await loadPage(proxy, host);
    }
    const begun = performance.now();
    const pages = await Promise.all(
      Array.from({ length: 50 }, () => curl([...proxy, "http://hello.sandbox.internal/"])),
    );
    assert.ok(pages.every(({ stdout }) => stdout.includes(PAGE_TEXT)));
    await note(
      `curl, port backend: 50 pages at a time in ${(performance.now() - begun).toFixed(0)} ms`,
    );
    const { code, stderr } = await program.stop();
    assert.equal(code, 0, stderr);
  },
);

interopTest("curl: is told why a port session leads nowhere", CURL, async () => {
  await using program = start();
  const proxy = await via(program);
  for (
    const [url, reply] of [
      ["http://hello.sandbox.internal:81/", 5],
      ["http://nowhere.sandbox.internal/", 4],
      ["http://169.254.169.254/latest/meta-data/", 2],
    ] as const
  ) {
    const { code, stderr } = await curl([...proxy, url]);
    assert.equal(code, 97, url);
    assert.match(stderr, new RegExp(`\\(${reply}\\)`), url);
  }
  await program.stop();
});

interopTest("curl: 20 MB down and up by port forwarding have the right digest", CURL, async () => {
  await using program = start();
  const proxy = await via(program);
  const transfer = {
    via: proxy,
    site: "http://hello.sandbox.internal/",
    size: 20_000_000,
    name: "curl, port backend",
  };
  await curlDown(transfer);
  await curlUp(transfer);
  await program.stop();
});

interopTest(
  "curl: a server that reads nothing for 60 s hurts only its own destination",
  CURL,
  async () => {
    await using program = start();
    const proxy = await via(program);
    const wait = 60_000;
    let done = false;
    // Twice what the agent holds for destinations that do not read.
    const upload = curlUp({
      via: proxy,
      site: "http://hello.sandbox.internal/",
      size: 8_000_000,
      name: "curl, to a server that reads nothing for 60 s",
      wait,
    }).finally(() => done = true);
    const begun = performance.now();
    const pages = async () => {
      let slowest = 0;
      while (!done) {
        for (const host of ["www.example.com", "10.0.1.20"]) {
          const start = performance.now();
          await loadPage(proxy, host);
          slowest = Math.max(slowest, performance.now() - start);
        }
        await new Promise((resolve) => setTimeout(resolve, 500));
      }
      return slowest;
    };
    const [slowest] = await Promise.all([pages(), upload]);
    assert.ok(performance.now() - begun >= wait);
    assert.ok(slowest < 3000, `a page of another host took ${slowest.toFixed(0)} ms`);
    await note(`curl: the slowest page of another host meanwhile ${slowest.toFixed(0)} ms`);
    await program.stop();
  },
);
