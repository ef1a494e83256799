import assert from "node:assert/strict";
import { type AwsocksError, isAwsocksError } from "../../lib/core/mod.ts";
import { type ConfigFile, loadConfig, type LoadConfigOptions } from "../../lib/config/load.ts";

/** Runs with a temporary directory as home. */
async function withHome(work: (home: string) => Promise<void>): Promise<void> {
  const home = await Deno.makeTempDir();
  try {
    await work(home);
  } finally {
    await Deno.remove(home, { recursive: true });
  }
}

async function write(path: string, text: string | Uint8Array, mode = 0o600): Promise<string> {
  await Deno.mkdir(path.slice(0, path.lastIndexOf("/")), { recursive: true });
  await (typeof text === "string" ? Deno.writeTextFile(path, text) : Deno.writeFile(path, text));
  await Deno.chmod(path, mode);
  return path;
}

async function failureOf(options: LoadConfigOptions): Promise<AwsocksError> {
  try {
    await loadConfig(options);
  } catch (error) {
    assert.ok(isAwsocksError(error), String(error));
    return error;
  }
  throw new assert.AssertionError({ message: "loadConfig() should have failed" });
}

const TEXT = '[profiles.dev]\nname = "bastion"\n';
const names = (file: ConfigFile) => [...file.profiles.keys()];

Deno.test("loadConfig() reads ~/.config/awsocks/config.toml, or below XDG_CONFIG_HOME", async () => {
  await withHome(async (home) => {
    const path = await write(`${home}/.config/awsocks/config.toml`, TEXT);
    const file = await loadConfig({ env: {}, home });
    assert.deepEqual([file.path, file.exists, names(file)], [path, true, ["dev"]]);
    assert.deepEqual(file.profiles.get("dev"), { name: "bastion" });

    const other = await write(`${home}/xdg/awsocks/config.toml`, "[profiles.other]");
    const xdg = await loadConfig({ env: { XDG_CONFIG_HOME: `${home}/xdg` }, home });
    assert.deepEqual([xdg.path, names(xdg)], [other, ["other"]]);
    const relative = await loadConfig({ env: { XDG_CONFIG_HOME: "xdg" }, home });
    assert.equal(relative.path, path);
  });
});

Deno.test("loadConfig() does without the default file, and without a home", async () => {
  await withHome(async (home) => {
    const file = await loadConfig({ env: {}, home });
    assert.deepEqual(file, {
      path: `${home}/.config/awsocks/config.toml`,
      exists: false,
      defaults: {},
      profiles: new Map(),
      notices: [],
    });
    assert.equal((await loadConfig({ env: {}, home: undefined })).path, undefined);
  });
});

Deno.test("loadConfig() wants a file that was named", async () => {
  await withHome(async (home) => {
    await write(`${home}/my.toml`, TEXT);
    assert.equal((await loadConfig({ path: "~/my.toml", env: {}, home })).exists, true);
    const missing = await failureOf({ path: "~/mine.toml", env: {}, home });
    assert.equal(missing.code, "config-unreadable");
    assert.equal(missing.message, `Configuration file ${home}/mine.toml does not exist`);
  });
});

Deno.test("loadConfig() says why it cannot read", async () => {
  await withHome(async (home) => {
    const options = { env: {}, home };
    const directory = await failureOf({ ...options, path: home });
    assert.match(directory.message, /: it is a directory$/);
    const latin1 = await write(`${home}/a.toml`, new Uint8Array([0x23, 0xe9]));
    assert.match((await failureOf({ ...options, path: latin1 })).message, /: it is not UTF-8$/);
    const large = await write(`${home}/b.toml`, new Uint8Array(1024 * 1024 + 1).fill(10));
    assert.match((await failureOf({ ...options, path: large })).message, /: it is larger than/);
    for (const path of [home, latin1, large]) {
      assert.equal((await failureOf({ ...options, path })).code, "config-unreadable");
    }
  });
});

Deno.test("loadConfig() reports mistakes with the file's path, and takes a byte order mark", async () => {
  await withHome(async (home) => {
    const path = await write(`${home}/a.toml`, "\ufeff[defaults]\nlistn = 1\n");
    const failure = await failureOf({ path, env: {}, home });
    assert.equal(failure.code, "config-invalid");
    assert.equal(
      failure.message,
      `${path}:2:1: defaults.listn: unknown key; did you mean "listen"?`,
    );
  });
});

Deno.test("loadConfig() gives patterns to the validator", async () => {
  await withHome(async (home) => {
    const path = await write(`${home}/a.toml`, '[defaults.routing]\nproxy = ["a", "!b"]\n');
    const seen: string[] = [];
    const validatePattern = (pattern: string) => void seen.push(pattern);
    await loadConfig({ path, env: {}, home, validatePattern });
    assert.deepEqual([...new Set(seen)], ["a", "b"]);
  });
});

Deno.test({
  name: "loadConfig() warns of secrets that others can read",
  // Windows has no such mode bits.
  ignore: Deno.build.os === "windows",
  fn: () =>
    withHome(async (home) => {
      const options = { env: {}, home };
      const secret = '[profiles.dev]\nssh-key-passphrase = "s3cret"\n';
      const noticesAt = async (text: string, mode: number) =>
        (await loadConfig({ ...options, path: await write(`${home}/c.toml`, text, mode) })).notices;
      assert.deepEqual(await noticesAt(secret, 0o600), []);
      assert.deepEqual(await noticesAt(TEXT, 0o644), []);
      for (const mode of [0o640, 0o604, 0o644]) {
        assert.deepEqual(await noticesAt(secret, mode), [
          `${home}/c.toml holds ssh-key-passphrase and can be read by other users; ` +
          `run: chmod 600 ${home}/c.toml`,
        ]);
      }
    }),
});
