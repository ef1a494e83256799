import assert from "node:assert/strict";
import { PAGE_TEXT, startSandbox } from "../../lib/sandbox/mod.ts";
import { runProgram, startProgram } from "../support/program.ts";
import { fetchThrough } from "../support/proxy_client.ts";

const PAGE = "http://hello.sandbox.internal/";

Deno.test("awsocks start --sandbox carries curl to the private page", async () => {
  await using program = startProgram(["start", "--sandbox", "-l", "127.0.0.1:0"]);
  const [, port] = await program.saw(/listens on 127\.0\.0\.1:(\d+)/);
  const curl = await new Deno.Command("curl", {
    args: ["-sS", "--noproxy", "", "--socks5-hostname", `127.0.0.1:${port}`, PAGE],
  }).output().catch((error) => {
    if (error instanceof Deno.errors.NotFound) throw new Error("curl is missing: install curl");
    throw error;
  });
  assert.match(new TextDecoder().decode(curl.stdout), new RegExp(PAGE_TEXT));
  assert.match(program.stdout, /sandbox/);
  const { code, stderr } = await program.stop();
  assert.equal(code, 0, stderr);
  assert.equal(stderr.split("\n").filter((line) => /Stopping/.test(line)).length, 1);
});

Deno.test("awsocks start --sandbox leaves nothing in the user's files", async () => {
  const home = await Deno.makeTempDir({ prefix: "awsocks-test-" });
  try {
    await using program = startProgram(["start", "--sandbox", "--no-lazy", "-l", "127.0.0.1:0"], {
      home,
    });
    await program.saw(/listens on/);
    assert.equal((await program.stop()).code, 0);
    assert.deepEqual(await Array.fromAsync(Deno.readDir(home)), []);
  } finally {
    await Deno.remove(home, { recursive: true });
  }
});

Deno.test("awsocks start works with nothing but the environment of other AWS services", async () => {
  await using sandbox = await startSandbox();
  const home = await Deno.makeTempDir({ prefix: "awsocks-test-" });
  try {
    const args = ["start", "-i", sandbox.instanceId, "-k", sandbox.sshKeyPath, "-l", "127.0.0.1:0"];
    await using program = startProgram(["--no-lazy", ...args], { env: sandbox.env, home });
    const [, port] = await program.saw(/listens on 127\.0\.0\.1:(\d+)/);
    assert.match(await fetchThrough(Number(port), PAGE), new RegExp(PAGE_TEXT));
    assert.deepEqual(sandbox.sessions().map(({ live }) => live), [true]);
    const { code, stderr } = await program.stop();
    assert.equal(code, 0, stderr);
    assert.deepEqual(
      sandbox.sessions().map(({ live }) => live),
      [false],
      "the session is terminated",
    );
    const hosts = await Deno.readTextFile(`${home}/.local/state/awsocks/known_hosts`);
    assert.match(hosts, new RegExp(sandbox.instanceId), "the host key is trusted from now on");
  } finally {
    await Deno.remove(home, { recursive: true });
  }
});

Deno.test("awsocks start prints one JSON line when the log is JSON", async () => {
  const args = ["start", "--sandbox", "-l", "127.0.0.1:0", "--log-format", "json"];
  await using program = startProgram(args);
  const [line] = await program.saw(/^.*\n/);
  const ready = JSON.parse(line);
  assert.equal(ready.event, "listening");
  assert.match(await fetchThrough(ready.port, PAGE), new RegExp(PAGE_TEXT));
  const { stdout, stderr } = await program.stop();
  assert.equal(stdout, line, "nothing else on standard output");
  for (const record of stderr.trim().split("\n")) JSON.parse(record);
});

Deno.test("awsocks start --quiet prints nothing while all is well", async () => {
  await using sandbox = await startSandbox();
  await using program = startProgram(
    ["start", "-q", "-n", sandbox.name, "-k", sandbox.sshKeyPath, "-l", "127.0.0.1:0", "--no-lazy"],
    { env: sandbox.env },
  );
  // Without a word the sandbox has to tell when it is up.
  const { promise, resolve } = Promise.withResolvers<void>();
  using _events = sandbox.on((event) => event.type === "ssh-authenticated" && resolve());
  await program.while(promise);
  const { code, stdout, stderr } = await program.stop();
  assert.deepEqual([stdout, stderr], ["", ""]);
  assert.ok(code === 0 || code === 130, `${code}`);
});

Deno.test("a second signal does not wait", async () => {
  await using sandbox = await startSandbox();
  const args = ["start", "-i", sandbox.instanceId, "-k", sandbox.sshKeyPath, "-l", "127.0.0.1:0"];
  await using program = startProgram(["--no-lazy", ...args], { env: sandbox.env });
  const [, port] = await program.saw(/listens on 127\.0\.0\.1:(\d+)/);
  // A request that is not over keeps the first signal busy.
  const slow = fetchThrough(Number(port), `${PAGE}slow?ms=20000`).catch(() => {});
  const { promise, resolve } = Promise.withResolvers<void>();
  using _events = sandbox.on((event) => event.type === "http-request" && resolve());
  await program.while(promise);
  program.signal("SIGINT");
  await program.saw(/Stopping/, "stderr");
  program.signal("SIGTERM");
  assert.equal((await program.finished).code, 130);
  await slow;
});

Deno.test("SIGTERM during a slow start breaks it off", async () => {
  await using sandbox = await startSandbox({ switches: { agentDelay: 60_000 } });
  await using program = startProgram(
    ["start", "-i", sandbox.instanceId, "-k", sandbox.sshKeyPath, "-l", "127.0.0.1:0", "--no-lazy"],
    { env: sandbox.env },
  );
  const { promise, resolve } = Promise.withResolvers<void>();
  using _events = sandbox.on((event) => event.type === "session-started" && resolve());
  await program.while(promise);
  program.signal("SIGTERM");
  const { code, stdout } = await program.finished;
  assert.equal(code, 130);
  assert.equal(stdout, "");
  assert.deepEqual(
    sandbox.sessions().map(({ live }) => live),
    [false],
    "the session is terminated",
  );
});

Deno.test("awsocks start asks clients for user and password", async () => {
  const env = { AWSOCKS_PROXY_PASSWORD: "secret" };
  const args = ["start", "--sandbox", "--proxy-user", "me", "-l", "0.0.0.0:0"];
  await using program = startProgram(args, { env });
  const [, port] = await program.saw(/listens on 0\.0\.0\.0:(\d+)/);
  await assert.rejects(fetchThrough(Number(port), PAGE));
  await program.stop();
});

Deno.test("awsocks start warns of a secret on the command line and never shows it", async () => {
  const args = ["start", "--sandbox", "--proxy-user=me", "--proxy-password=hunter2", "-v"];
  await using program = startProgram([...args, "-l", "127.0.0.1:0"]);
  await program.saw(/listens on/);
  const { stdout, stderr } = await program.stop();
  assert.match(stderr, /WARN .*--proxy-password can be read in a process list/);
  assert.doesNotMatch(stdout + stderr, /hunter2/);
});

Deno.test("awsocks sandbox prints the environment and the command line that work", async () => {
  await using program = startProgram(["sandbox"]);
  await program.saw(/^curl .*\n/m);
  const env = Object.fromEntries(
    [...program.stdout.matchAll(/^export (\w+)=(.*)$/gm)].map(([, name, value]) => [name!, value!]),
  );
  const [, line] = /^awsocks (start .*)$/m.exec(program.stdout)!;
  await using proxy = startProgram([...line!.split(" "), "--no-lazy", "-l", "127.0.0.1:0"], {
    env,
  });
  const [, port] = await proxy.saw(/listens on 127\.0\.0\.1:(\d+)/);
  assert.match(await fetchThrough(Number(port), PAGE), new RegExp(PAGE_TEXT));
  assert.equal((await proxy.stop()).code, 0);
  assert.equal((await program.stop()).code, 0);
});

Deno.test("awsocks sandbox --format json is one line; its files are gone afterwards", async () => {
  await using program = startProgram(["sandbox", "--format", "json"]);
  const [line] = await program.saw(/^.*\n/);
  const facts = JSON.parse(line);
  await Deno.stat(facts.sshKey);
  assert.equal(facts.instances[0].instanceId, facts.instanceId);
  assert.equal((await program.stop()).code, 0);
  await assert.rejects(Deno.stat(facts.sshKey), Deno.errors.NotFound);
});

Deno.test("awsocks sandbox refuses switches and addresses that make no sense", async () => {
  for (
    const [args, message] of [
      [["--switches", "dorp=1"], /Unknown sandbox switch "dorp"\ntry: did you mean drop\?/],
      [["--listen", "0.0.0.0:4566"], /127\.0\.0\.1 only/],
    ] as const
  ) {
    const { code, stderr } = await runProgram(["sandbox", ...args]);
    assert.equal(code, 2);
    assert.match(stderr, message);
  }
});
