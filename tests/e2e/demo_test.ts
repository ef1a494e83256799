import assert from "node:assert/strict";
import { PAGE_TEXT } from "../../lib/sandbox/mod.ts";
import { runProgram, startProgram } from "../support/program.ts";
import { fetchThrough } from "../support/proxy_client.ts";

Deno.test("awsocks demo --once shows each hop with its time, and the private page", async () => {
  const { code, stdout, stderr } = await runProgram(["demo", "--once"]);
  assert.equal(code, 0, stderr);
  assert.equal(stderr, "");
  assert.match(stdout, new RegExp(PAGE_TEXT));
  const hops = [...stdout.matchAll(/^ *([\d.]+) ms +\+[\d.]+ ms {2}✓ (\S+(?: \S+)*)/gm)];
  assert.deepEqual(hops.map((hop) => hop[2]), [
    "sandbox",
    "proxy listens",
    "SOCKS5 accepted",
    "credentials",
    "DescribeInstances",
    "StartSession",
    "WebSocket open",
    "session handshake",
    "SSH authenticated",
    "channel open",
    "SOCKS5 connected",
    "request at the site",
    "first byte",
    "page",
  ]);
  const times = hops.map((hop) => Number(hop[1]));
  assert.deepEqual(times, times.toSorted((a, b) => a - b));
  assert.match(stdout, /came through in \d+ ms/);
});

Deno.test("awsocks demo stays up, its proxy works, and Ctrl-C ends it cleanly", async () => {
  await using program = startProgram(["demo"]);
  const [, port] = await program.saw(/curl --socks5-hostname 127\.0\.0\.1:(\d+) http/);
  assert.match(
    await fetchThrough(Number(port), "http://hello.sandbox.internal/"),
    /^HTTP\/1\.1 200/,
  );
  const { code, stderr } = await program.stop();
  assert.equal(code, 0, stderr);
});

Deno.test("awsocks demo ignores the user's AWS set-up and configuration", async () => {
  const home = await Deno.makeTempDir({ prefix: "awsocks-test-" });
  try {
    await Deno.mkdir(`${home}/.config/awsocks`, { recursive: true });
    await Deno.writeTextFile(`${home}/.config/awsocks/config.toml`, "not = [toml");
    const env = {
      AWS_PROFILE: "nope",
      AWS_REGION: "us-gov-west-1",
      AWS_ENDPOINT_URL: "http://127.0.0.1:1",
      AWSOCKS_INSTANCE_ID: "i-00000000000000000",
      AWSOCKS_LAZY: "maybe",
    };
    const { code, stdout, stderr } = await runProgram(["demo", "--once", "--quiet"], { home, env });
    assert.equal(code, 0, stderr);
    assert.match(stdout, new RegExp(PAGE_TEXT));
    const left = await Array.fromAsync(Deno.readDir(home), (entry) => entry.name);
    assert.deepEqual(left, [".config"], "nothing is written to the home directory");
  } finally {
    await Deno.remove(home, { recursive: true });
  }
});

Deno.test("awsocks demo on a bad network still brings the page", async () => {
  const switches = "drop=0.05,duplicate=0.05,reorder=0.05,seed=7";
  const { code, stdout, stderr } = await runProgram(["demo", "--once", "--switches", switches]);
  assert.equal(code, 0, stderr);
  assert.match(stdout, new RegExp(PAGE_TEXT));
});
