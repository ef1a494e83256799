import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { generateKeyPairSync } from "node:crypto";
import { AwsocksError, configureLogging, isAwsocksError } from "../../lib/core/mod.ts";
import { identityFromText, loadIdentity, loadSsh2 } from "../../lib/ssh/mod.ts";
import { newEd25519 } from "./new_key.ts";

const PASSPHRASE = "correct horse";

const { ssh2 } = await loadSsh2();

/** A new Ed25519 key in OpenSSH's format. */
function opensshKey(passphrase?: string): { private: string; public: string } {
  return newEd25519(
    ssh2,
    passphrase === undefined ? {} : { passphrase, cipher: "aes256-ctr", rounds: 2 },
  );
}

/** A new key in a format that shows nothing without its passphrase. */
function opaqueKey(): string {
  const { privateKey } = generateKeyPairSync("ed25519");
  const options = { cipher: "aes-256-cbc", passphrase: PASSPHRASE } as const;
  return String(privateKey.export({ type: "pkcs8", format: "pem", ...options }));
}

/** Answers prompts from a list and counts them. */
function prompter(...answers: (string | undefined)[]) {
  const asked: [string, number][] = [];
  return {
    asked,
    askPassphrase(path: string, { attempt }: { attempt: number }) {
      asked.push([path, attempt]);
      return Promise.resolve(answers[asked.length - 1]);
    },
  };
}

function failure(code: AwsocksError["code"], message: string | RegExp) {
  return (error: unknown) => {
    assert.ok(isAwsocksError(error, code), `${error}`);
    if (typeof message === "string") assert.equal(error.message, message);
    else assert.match(error.message, message);
    return true;
  };
}

async function inTempDir(work: (dir: string) => Promise<void>): Promise<void> {
  const dir = await Deno.makeTempDir();
  try {
    await work(dir);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

/** Log lines of this room written meanwhile. */
async function logged(work: () => Promise<unknown>): Promise<string[]> {
  const lines: string[] = [];
  await configureLogging({ level: "debug", write: (line) => void lines.push(line) });
  try {
    await work();
  } finally {
    await configureLogging({ level: "error", write: () => {} });
  }
  return lines;
}

Deno.test("loadIdentity() knows the key by its fingerprint and signs with it", () =>
  inTempDir(async (dir) => {
    const key = opensshKey();
    await Deno.writeTextFile(`${dir}/key`, key.private, { mode: 0o600 });
    const identity = await loadIdentity(`${dir}/key`);
    assert.equal(identity.source, "file");
    assert.equal(identity.label, `${dir}/key`);
    assert.equal(identity.keyType, "ssh-ed25519");
    assert.equal(identity.locked, false);
    assert.match(identity.fingerprint, /^SHA256:[A-Za-z0-9+/]{43}$/);
    const publicKey = ssh2.utils.parseKey(key.public);
    assert.ok(!(publicKey instanceof Error));
    assert.deepEqual(Buffer.from(identity.publicKey), publicKey.getPublicSSH());
    const data = Buffer.from("data");
    assert.equal(publicKey.verify(data, Buffer.from(await identity.sign(data))), true);
  }));

Deno.test("loadIdentity() says which file it cannot read, and why", () =>
  inTempDir(async (dir) => {
    const path = `${dir}/key`;
    await assert.rejects(
      loadIdentity(path),
      failure("ssh-key-missing", `Cannot read SSH key ${path}: no such file`),
    );
    await Deno.mkdir(path);
    await assert.rejects(
      loadIdentity(path),
      failure("ssh-key-invalid", `Cannot read SSH key ${path}: not a file`),
    );
    await Deno.writeTextFile(`${dir}/k.pub`, opensshKey().public);
    await assert.rejects(
      loadIdentity(`${dir}/k.pub`),
      failure(
        "ssh-key-invalid",
        `SSH key ${dir}/k.pub is a public key; the private one is in the file without \`.pub\``,
      ),
    );
    await Deno.writeFile(`${dir}/large`, new Uint8Array(2 * 1024 * 1024));
    await assert.rejects(loadIdentity(`${dir}/large`), failure("ssh-key-invalid", /too large/));
  }));

Deno.test("loadIdentity() warns of a key that others can read, and mentions certificates", {
  ignore: Deno.build.os === "windows",
}, () =>
  inTempDir(async (dir) => {
    const path = `${dir}/key`;
    await Deno.writeTextFile(path, opensshKey().private);
    await Deno.chmod(path, 0o644);
    const [warning, ...more] = await logged(() => loadIdentity(path));
    assert.match(warning!, /WARN {2}ssh .*can be read by others; run chmod 600.*mode=0644/);
    assert.deepEqual(more, []);
    await Deno.chmod(path, 0o600);
    await Deno.writeTextFile(`${path}-cert.pub`, "ssh-ed25519-cert-v01@openssh.com AAAA");
    const [mention, ...others] = await logged(() => loadIdentity(path));
    assert.match(mention!, /DEBUG ssh .*certificates are not supported.*key-cert\.pub/);
    assert.deepEqual(others, []);
  }));

for (
  const [format, text] of [
    ["OpenSSH", opensshKey(PASSPHRASE).private],
    ["PKCS#8", opaqueKey()],
  ] as const
) {
  Deno.test(`a passphrase opens an encrypted key in ${format} format`, async (t) => {
    await t.step("given as an option, which needs no prompt", async () => {
      const prompts = prompter();
      const options = { passphrase: PASSPHRASE, ...prompts };
      const identity = await identityFromText(text, "k", options);
      assert.equal(identity.locked, false);
      assert.deepEqual(prompts.asked, []);
    });
    await t.step("asked for once, and remembered", async () => {
      const prompts = prompter(PASSPHRASE);
      const identity = await identityFromText(text, "k", prompts);
      await identity.sign(new Uint8Array(1));
      await identity.sign(new Uint8Array(2));
      assert.deepEqual(prompts.asked, [["k", 1]]);
    });
    await t.step("asked for again after a typo", async () => {
      const prompts = prompter("", "typo", PASSPHRASE);
      await identityFromText(text, "k", prompts);
      assert.deepEqual(prompts.asked, [["k", 1], ["k", 2], ["k", 3]]);
    });
    await t.step("asked for when the option is wrong", async () => {
      const prompts = prompter(PASSPHRASE);
      await identityFromText(text, "k", { passphrase: "wrong", ...prompts });
      assert.deepEqual(prompts.asked, [["k", 1]]);
    });
    await t.step("but not for ever", async () => {
      const prompts = prompter("a", "b", "c", PASSPHRASE);
      await assert.rejects(
        identityFromText(text, "k", prompts),
        failure("ssh-key-passphrase", "SSH key k does not open with this passphrase"),
      );
      assert.equal(prompts.asked.length, 3);
    });
    await t.step("nor after the user has declined", async () => {
      const prompts = prompter(undefined);
      await assert.rejects(
        identityFromText(text, "k", prompts),
        failure(
          "ssh-key-passphrase",
          "SSH key k is encrypted and there is no passphrase for it",
        ),
      );
      assert.equal(prompts.asked.length, 1);
    });
    await t.step("an empty one counts as none", async () => {
      await assert.rejects(
        identityFromText(text, "k", { passphrase: "" }),
        failure("ssh-key-passphrase", /is encrypted and there is no passphrase/),
      );
    });
    await t.step("a wrong one is an error", async () => {
      await assert.rejects(
        identityFromText(text, "k", { passphrase: "wrong" }),
        failure("ssh-key-passphrase", "SSH key k does not open with this passphrase"),
      );
    });
  });
}

Deno.test("a lazy identity asks for its passphrase with the first signature, once", async () => {
  const prompts = prompter(PASSPHRASE);
  const { private: text } = opensshKey(PASSPHRASE);
  const identity = await identityFromText(text, "k", { lazy: true, ...prompts });
  assert.equal(identity.locked, true);
  assert.deepEqual(prompts.asked, []);
  await Promise.all([identity.sign(new Uint8Array(1)), identity.sign(new Uint8Array(2))]);
  assert.equal(identity.locked, false);
  assert.equal(prompts.asked.length, 1);
});

Deno.test("a lazy identity that was not opened does not ask again", async () => {
  const prompts = prompter(undefined, PASSPHRASE);
  const { private: text } = opensshKey(PASSPHRASE);
  const identity = await identityFromText(text, "k", { lazy: true, ...prompts });
  for (let i = 0; i < 2; i++) {
    await assert.rejects(identity.sign(new Uint8Array(1)), failure("ssh-key-passphrase", /k is/));
  }
  assert.equal(prompts.asked.length, 1);
});

Deno.test("a prompt that was aborted can be repeated", async () => {
  const controller = new AbortController();
  const { private: text } = opensshKey(PASSPHRASE);
  let asked = 0;
  const identity = await identityFromText(text, "k", {
    lazy: true,
    askPassphrase(_path, { signal }) {
      if (++asked === 2) return Promise.resolve(PASSPHRASE);
      controller.abort(new Error("gone"));
      return Promise.reject(signal?.reason);
    },
  });
  await assert.rejects(
    identity.sign(new Uint8Array(1), { signal: controller.signal }),
    /gone/,
  );
  await identity.sign(new Uint8Array(1));
  assert.equal(asked, 2);
});

Deno.test("a lazy identity takes its public half from the file beside it if need be", () =>
  inTempDir(async (dir) => {
    const path = `${dir}/key`;
    const text = opaqueKey();
    const opened = await identityFromText(text, "k", { passphrase: PASSPHRASE });
    await Deno.writeTextFile(path, text, { mode: 0o600 });
    const base64 = opened.publicKey.toBase64();
    for (const content of ["rubbish", `ssh-rsa ${base64}`, `ssh-ed25519 ${base64} comment\n`]) {
      await Deno.writeTextFile(`${path}.pub`, content);
      const prompts = prompter(PASSPHRASE);
      const identity = await loadIdentity(path, { lazy: true, ...prompts });
      assert.deepEqual(identity.publicKey, opened.publicKey);
      assert.equal(prompts.asked.length, content.startsWith("ssh-ed25519") ? 0 : 1);
    }
  }));

Deno.test("no passphrase appears in an error", async () => {
  const error: unknown = await identityFromText(opaqueKey(), "k", { passphrase: "s3cret-typo" })
    .then(() => undefined, (e) => e);
  assert.doesNotMatch(Deno.inspect(error, { depth: 10 }), /s3cret-typo/);
});
