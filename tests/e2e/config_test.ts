import assert from "node:assert/strict";
import { runProgram } from "../support/program.ts";

/** Runs a test with a home directory of its own. */
async function withHome(work: (home: string) => Promise<void>): Promise<void> {
  const home = await Deno.makeTempDir({ prefix: "awsocks-test-" });
  try {
    await work(home);
  } finally {
    await Deno.remove(home, { recursive: true });
  }
}

async function writeConfig(home: string, text: string): Promise<string> {
  const path = `${home}/.config/awsocks/config.toml`;
  await Deno.mkdir(`${home}/.config/awsocks`, { recursive: true });
  await Deno.writeTextFile(path, text);
  return path;
}

const TWO_PROFILES = `
[profiles.staging]
name = "bastion"
region = "eu-west-1"
routing.proxy = ["*.corp.example"]

[profiles.production]
instance-id = "i-0123456789abcdef0"
region = "eu-west-1"
`;

Deno.test("awsocks config init writes a starter that passes config check, and never overwrites", async () => {
  await withHome(async (home) => {
    const path = `${home}/.config/awsocks/config.toml`;
    assert.equal((await runProgram(["config", "path"], { home })).stdout, `${path}\n`);

    const written = await runProgram(["config", "init"], { home });
    assert.equal(written.code, 0, written.stderr);
    assert.match(written.stdout, new RegExp(`^Wrote ${path}$`, "m"));
    const { mode } = await Deno.stat(path);
    if (mode !== null) assert.equal(mode & 0o777, 0o600);

    const checked = await runProgram(["config", "check"], { home });
    assert.equal(checked.code, 0, checked.stderr);
    assert.match(checked.stdout, /is valid/);

    await Deno.writeTextFile(path, "# mine\n");
    const again = await runProgram(["config", "init"], { home });
    assert.equal(again.code, 2);
    assert.equal(again.stderr, `awsocks: ${path} exists and is left alone\n`);
    assert.equal(await Deno.readTextFile(path), "# mine\n");
  });
});

Deno.test("awsocks config init FILE and XDG_CONFIG_HOME choose the place", async () => {
  await withHome(async (home) => {
    const named = await runProgram(["config", "init", `${home}/a/b.toml`], { home });
    assert.equal(named.code, 0, named.stderr);
    await Deno.stat(`${home}/a/b.toml`);
    const env = { XDG_CONFIG_HOME: `${home}/xdg` };
    const { stdout } = await runProgram(["config", "path"], { home, env });
    assert.equal(stdout, `${home}/xdg/awsocks/config.toml\n`);
  });
});

Deno.test("awsocks config check names every problem with its line and exits 2", async () => {
  await withHome(async (home) => {
    const path = await writeConfig(home, '[defaults]\nssh-usr = "x"\nlazy = 3\n');
    const { code, stdout, stderr } = await runProgram(["config", "check"], { home });
    assert.equal(code, 2);
    assert.equal(stdout, "");
    assert.match(stderr, new RegExp(`${path}:2:\\d+: .*ssh-usr.*ssh-user`));
    assert.match(stderr, new RegExp(`${path}:3:\\d+: .*lazy`));
    assert.doesNotMatch(stderr, /\n\s+at /, "no stack trace");
  });
});

Deno.test("awsocks config check says where there is no file", async () => {
  await withHome(async (home) => {
    const { code, stderr } = await runProgram(["config", "check"], { home });
    assert.equal(code, 2);
    assert.match(stderr, /There is no configuration at .*\ntry: `awsocks config init`/);
    const named = await runProgram(["config", "check", "/nonexistent.toml"], { home });
    assert.equal(named.code, 2);
    assert.match(named.stderr, /\/nonexistent\.toml does not exist/);
  });
});

Deno.test("awsocks config check shows the profiles", async () => {
  await withHome(async (home) => {
    await writeConfig(home, `${TWO_PROFILES}\n[profiles.bare]\nlazy = false\n`);
    const { code, stdout } = await runProgram(["config", "check"], { home });
    assert.equal(code, 0);
    assert.match(stdout, /staging {5}bastion · eu-west-1 · default proxy, 1 pattern$/m);
    assert.match(stdout, /production {2}i-0123456789abcdef0 · eu-west-1/);
    assert.match(stdout, /bare .*\n {4}! has neither instance-id nor name/);
  });
});

Deno.test("awsocks route explains with the profile's rules", async () => {
  await withHome(async (home) => {
    await writeConfig(home, TWO_PROFILES);
    const text = await runProgram(["route", "www.corp.example:8443", "staging"], { home });
    assert.equal(text.code, 0, text.stderr);
    assert.match(text.stdout, /^www\.corp\.example:8443 → proxy \(profile staging\)$/m);
    assert.match(text.stdout, /"\*\.corp\.example"/);
    const json = await runProgram(
      ["route", "x.example", "staging", "--route-block", "x.example", "--format=json"],
      { home },
    );
    const explained = JSON.parse(json.stdout);
    assert.equal(explained.decision.route, "block");
    assert.deepEqual(explained.target, { host: "x.example", port: 443 });
  });
});

Deno.test("awsocks start refuses what it cannot do, each with one clear line and exit code 2", async () => {
  await withHome(async (home) => {
    const start = async (...args: string[]) => {
      const { code, stdout, stderr } = await runProgram(["start", ...args], { home });
      assert.equal(code, 2, stderr);
      assert.equal(stdout, "");
      assert.ok(stderr.split("\n").length <= 3, stderr);
      return stderr;
    };
    assert.match(await start(), /^awsocks: No instance to connect to/);
    assert.match(await start("nope"), /No profile "nope"/);
    assert.match(await start("-i", "x"), /^awsocks: --instance-id: /);
    assert.match(await start("-i", "i-0123456789abcdef0"), /No AWS region is set/);
    const known = ["-i", "i-0123456789abcdef0", "-r", "eu-west-1"];
    assert.match(await start(...known, "-l", "0.0.0.0:0"), /without user and password/);
    assert.match(
      await start(...known, "-k", "/dev/null/key"),
      /SSH key \/dev\/null\/key does not exist/,
    );
    assert.match(await start(...known, "-m", "vm", "--guest-dir", "/nowhere"), /No guest image/);
    assert.match(await start(...known, "-n", "x"), /--instance-id and --name/);
    assert.match(await start(...known, "--sshd", "127.0.0.1:22"), /--sshd belongs to --sandbox/);

    await writeConfig(home, TWO_PROFILES);
    assert.match(await start(), /Which profile\? There are staging, production/);
    assert.match(await start("stagin"), /did you mean "?staging"?/);
    assert.match(await start("-c", "/nonexistent.toml"), /does not exist/);
  });
});

Deno.test("awsocks start names the address that is taken", async () => {
  using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const listen = `127.0.0.1:${taken.addr.port}`;
  const { code, stderr } = await runProgram(
    ["start", "-i", "i-0123456789abcdef0", "-r", "eu-west-1", "-l", listen],
  );
  assert.equal(code, 1);
  assert.match(stderr, new RegExp(`^awsocks: .*${listen}`));
});
