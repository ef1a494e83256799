/**
 * The compiled programs do what the ones from source do, with named permissions, and never ask.
 *
 * @module
 */

import assert from "node:assert/strict";
import { PAGE_TEXT } from "../../lib/sandbox/mod.ts";
import { generateKeyPair } from "../../lib/sandbox/instance/keys.ts";
import { COMPILE_NEED, compiled } from "../support/compiled.ts";
import { curl, interopTest, need, note, type Ran, run } from "../support/external.ts";
import { FOREIGN_NEEDS, FOREIGN_TEXT, startForeignService } from "../support/foreign_service.ts";
import { makePrivateCa } from "../support/private_ca.ts";
import { type ProgramOptions, runProgram, startProgram } from "../support/program.ts";

const PAGE = "http://hello.sandbox.internal/";
const NEEDS = [COMPILE_NEED];
/** Medians hide what a busy machine does to one start. */
const START_ROUNDS = 5;

/** Runs the compiled `awsocks` with a home directory that does not exist. */
async function awsocks(args: readonly string[], options: ProgramOptions = {}) {
  return await runProgram(args, { ...options, binary: await compiled("awsocks") });
}

/** Nothing that Deno says to somebody who should allow something, or to a programmer. */
function assertNeverAsks({ stdout, stderr }: Pick<Ran, "stdout" | "stderr">): void {
  assert.doesNotMatch(
    stdout + stderr,
    /permission|requests? .* access|Allow\?|NotCapable|Uncaught|\n\s+at /i,
  );
}

interopTest("compiled: version and help", NEEDS, async () => {
  const version = await awsocks(["version"]);
  assert.deepEqual([version.code, version.stderr], [0, ""]);
  assert.match(
    version.stdout,
    /^awsocks \d+\.\d+\.\d+ \(commit [\da-f]{7}, deno \d+\.\d+\.\d+\)\n$/,
  );
  await note(version.stdout.trim());
  for (const args of [["--help"], ["help"], ["help", "start"], ["start", "--help"]]) {
    const help = await awsocks(args);
    assert.deepEqual([help.code, help.stderr], [0, ""], args.join(" "));
    assert.match(help.stdout, /^(Usage|awsocks start:)/m);
  }
});

interopTest("compiled: demo --once shows the private page", NEEDS, async () => {
  const demo = await awsocks(["demo", "--once"]);
  assert.deepEqual([demo.code, demo.stderr], [0, ""]);
  assert.ok(demo.stdout.includes(PAGE_TEXT));
  assertNeverAsks(demo);
});

interopTest("compiled: curl goes through start --sandbox", [...NEEDS, need("curl")], async () => {
  const binary = await compiled("awsocks");
  await using program = startProgram(["start", "--sandbox", "-l", "127.0.0.1:0"], { binary });
  const [, port] = await program.saw(/listens on 127\.0\.0\.1:(\d+)/);
  const via = ["--socks5-hostname", `127.0.0.1:${port}`];
  const page = await curl([...via, PAGE]);
  assert.ok(page.stdout.includes(PAGE_TEXT), page.stderr);
  const digest = await curl([...via, `${PAGE}sha256?size=3000000`]);
  const bytes = await curl([
    ...via,
    "-o",
    "/dev/null",
    "-w",
    "%{size_download}",
    `${PAGE}bytes?size=3000000`,
  ]);
  assert.match(digest.stdout, /^[\da-f]{64}\n$/);
  assert.equal(bytes.stdout, "3000000");
  const ended = await program.stop();
  assert.equal(ended.code, 0, ended.stderr);
  assertNeverAsks(ended);
});

interopTest(
  "compiled: sandbox and start find each other through the environment",
  NEEDS,
  async () => {
    const binary = await compiled("awsocks");
    await using sandbox = startProgram(["sandbox", "--format", "json"], { binary });
    const [line] = await sandbox.saw(/^.*\n/);
    const { env, start } = JSON.parse(line) as { env: Record<string, string>; start: string[] };
    const args = [...start.slice(1), "--no-lazy", "-l", "127.0.0.1:0"];
    await using program = startProgram(args, { binary, env });
    await program.saw(/listens on/);
    const ended = await program.stop();
    assert.equal(ended.code, 0, ended.stderr);
    assert.equal((await sandbox.stop()).code, 0);
  },
);

interopTest("compiled: every failure has its exit code and its line", NEEDS, async () => {
  const folder = await Deno.makeTempDir({ prefix: "awsocks-compiled-" });
  try {
    const [good, bad] = [`${folder}/good.toml`, `${folder}/bad.toml`];
    await Deno.writeTextFile(good, '[profiles.staging]\nname = "bastion"\nregion = "eu-west-1"\n');
    await Deno.writeTextFile(bad, '[profiles.staging]\nregoin = "eu-west-1"\n');
    await Deno.writeTextFile(`${folder}/id`, generateKeyPair("").privateKey, { mode: 0o600 });
    const once = ["--no-lazy", "-l", "127.0.0.1:0", "-k", `${folder}/id`];
    for (
      const [args, code, message] of [
        [["start", "--regoin", "x"], 2, /Unknown flag "--regoin"; did you mean --region\?/],
        [["strat"], 2, /start/],
        [["start", "stagign", "-c", good], 2, /staging/],
        [["start"], 2, /instance/],
        [["config", "check", good], 0, /staging/],
        [["config", "check", bad], 2, /bad\.toml:2.*regoin.*region/s],
        [["route", "www.example.com", "staging", "-c", good], 0, /proxy/],
        [["start", "-i", "i-0123456789abcdef0", "-r", "eu-west-1", ...once], 3, /credentials/],
        [["start", "--sandbox", "-i", "i-0123456789abcdef0", ...once], 4, /i-0123456789abcdef0/],
        [["start", "--sandbox", ...once], 5, /key/],
      ] as const
    ) {
      const ran = await awsocks(args, { cwd: folder });
      assert.equal(ran.code, code, `${args.join(" ")}: ${ran.stderr}`);
      assert.match(ran.stdout + ran.stderr, message, args.join(" "));
      assertNeverAsks(ran);
    }
    const init = await awsocks(["config", "init", `${folder}/new.toml`]);
    assert.equal(init.code, 0, init.stderr);
    assert.equal((await awsocks(["config", "check", `${folder}/new.toml`])).code, 0);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

interopTest(
  "compiled: works anywhere, without a home, and with input that has ended",
  NEEDS,
  async () => {
    const binary = await compiled("awsocks");
    const folder = await Deno.makeTempDir({ prefix: "awsocks-compiled-" });
    try {
      for (const env of [{}, { HOME: "" }, { HOME: folder }]) {
        const ran = await run(
          "sh",
          ["-c", 'cd "$1" && exec "$2" demo --once', "-", folder, binary],
          {
            env,
            input: [],
          },
        );
        assert.deepEqual([ran.code, ran.stderr], [0, ""], JSON.stringify(env));
        assert.ok(ran.stdout.includes(PAGE_TEXT));
      }
      assert.deepEqual(await Array.fromAsync(Deno.readDir(folder)), [], "nothing is left behind");
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
);

interopTest(
  "compiled: never asks for a permission on a terminal",
  [...NEEDS, need("script", "bsdutils")],
  async () => {
    const binary = await compiled("awsocks");
    for (const command of ["demo --once", "start -i i-0 --no-lazy -r eu-west-1", "config check"]) {
      const env = { HOME: "/nonexistent", TERM: "xterm", AWS_EC2_METADATA_DISABLED: "true" };
      const ran = await run("script", ["-qec", `${binary} ${command}`, "/dev/null"], { env });
      if (command.startsWith("demo")) assert.equal(ran.code, 0, ran.stdout);
      assertNeverAsks(ran);
    }
  },
);

interopTest("compiled: reaches another implementation of AWS over TLS", [
  ...NEEDS,
  ...FOREIGN_NEEDS,
  need("openssl"),
], async () => {
  const binary = await compiled("awsocks");
  const folder = await Deno.makeTempDir({ prefix: "awsocks-compiled-" });
  try {
    const ca = await makePrivateCa(folder, ["IP:127.0.0.1"]);
    await using service = await startForeignService({ tls: ca });
    const args = ["start", ...service.args, "-l", "127.0.0.1:0", "--no-lazy"];
    const env = { ...service.env, AWS_CA_BUNDLE: ca.bundle };
    await using program = startProgram(args, { binary, env });
    const [, port] = await program.saw(/listens on 127\.0\.0\.1:(\d+)/);
    const page = await curl(["--socks5-hostname", `127.0.0.1:${port}`, service.site]);
    assert.ok(page.stdout.includes(FOREIGN_TEXT), page.stderr);
    const ended = await program.stop();
    assert.equal(ended.code, 0, ended.stderr);
    const { sessions } = await service.report();
    assert.deepEqual(sessions.map(({ live }) => live), [false]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

interopTest("compiled: start-up time", NEEDS, async () => {
  const binary = await compiled("awsocks");
  const args = ["start", "-i", "i-0123456789abcdef0", "-r", "eu-west-1", "-l", "127.0.0.1:0"];
  const times: number[] = [];
  for (let round = 0; round < START_ROUNDS; round++) {
    const start = performance.now();
    await using program = startProgram(args, { binary });
    await program.saw(/listens on/);
    times.push(performance.now() - start);
  }
  const median = times.toSorted((a, b) => a - b)[Math.floor(START_ROUNDS / 2)]!;
  await note(`compiled awsocks listens after ${median.toFixed(0)} ms (median of ${START_ROUNDS})`);
  assert.ok(median < 1500, `${median} ms`);
});

interopTest("compiled: awsocks-agent says what it is", NEEDS, async () => {
  const binary = await compiled("awsocks-agent");
  const version = await runProgram(["version"], { binary });
  assert.equal(version.code, 0, version.stderr);
  assert.match(version.stdout, /^awsocks-agent \d+\.\d+\.\d+/);
  assertNeverAsks(await runProgram(["--help"], { binary }));
});
