import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { generateKeyPairSync, type KeyObject } from "node:crypto";
import fc from "fast-check";
import { KeyError } from "../../lib/ssh/key_error.ts";
import { outlineKey, parsePrivateKey, type RsaHash } from "../../lib/ssh/private_key.ts";
import { loadSsh2 } from "../../lib/ssh/mod.ts";
import { newEd25519 } from "./new_key.ts";

const PASSPHRASE = "correct horse";

/** Key pairs of every type, made once. */
const PAIRS: Record<string, KeyObject> = {
  "ssh-rsa": generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey,
  "ecdsa-sha2-nistp256": generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey,
  "ecdsa-sha2-nistp384": generateKeyPairSync("ec", { namedCurve: "P-384" }).privateKey,
  "ecdsa-sha2-nistp521": generateKeyPairSync("ec", { namedCurve: "P-521" }).privateKey,
  "ssh-ed25519": generateKeyPairSync("ed25519").privateKey,
};

/** The texts in which a key can be, by the name of the format. */
function formatsOf(key: KeyObject): Record<string, string> {
  const { asymmetricKeyType: type } = key;
  const traditional = type === "rsa" ? "pkcs1" : type === "ec" ? "sec1" : undefined;
  const texts: Record<string, string> = {
    pkcs8: String(key.export({ type: "pkcs8", format: "pem" })),
  };
  if (traditional) {
    texts[traditional] = String(key.export({ type: traditional as "sec1", format: "pem" }));
  }
  return texts;
}

function isKeyError(kind: KeyError["kind"], message?: RegExp) {
  return (error: unknown) => {
    assert.ok(error instanceof KeyError, `${error}`);
    assert.equal(error.kind, kind);
    if (message) assert.match(error.message, message);
    return true;
  };
}

/** Signs and has ssh2 check the signature with the public key in wire format. */
async function check(text: string, keyType: string, passphrase?: string): Promise<void> {
  const key = await parsePrivateKey(text, passphrase);
  assert.equal(key.keyType, keyType);
  const { ssh2 } = await loadSsh2();
  const publicKey = ssh2.utils.parseKey(Buffer.from(key.publicKey));
  assert.ok(!(publicKey instanceof Error));
  const data = Buffer.from("to be signed");
  const hashes: (RsaHash | undefined)[] = keyType === "ssh-rsa"
    ? ["sha1", "sha256", "sha512"]
    : [undefined];
  for (const hash of hashes) {
    const signature = Buffer.from(key.sign(data, hash));
    assert.equal(publicKey.verify(data, signature, hash), true, `${keyType} ${hash}`);
    assert.equal(publicKey.verify(Buffer.from("other"), signature, hash), false);
  }
}

for (const [keyType, key] of Object.entries(PAIRS)) {
  for (const [format, text] of Object.entries(formatsOf(key))) {
    Deno.test(`parsePrivateKey() reads ${keyType} in ${format}`, async () => {
      await check(text, keyType);
      await check(text.replaceAll("\n", "\r\n"), keyType);
      await check(`a comment before\n${text}and after\n`, keyType);
      assert.deepEqual(outlineKey(text), { encrypted: false });
    });
  }
}

for (const type of ["ed25519", "ecdsa", "rsa"] as const) {
  Deno.test(`parsePrivateKey() reads ${type} in OpenSSH's format, plain and encrypted`, async () => {
    const { ssh2 } = await loadSsh2();
    const keyType = { ed25519: "ssh-ed25519", ecdsa: "ecdsa-sha2-nistp384", rsa: "ssh-rsa" }[type];
    const size = { ed25519: {}, ecdsa: { bits: 384 }, rsa: { bits: 2048 } }[type];
    const make = (more: Record<string, unknown> = {}) =>
      type === "ed25519"
        ? newEd25519(ssh2, more).private
        : ssh2.utils.generateKeyPairSync(type as "ecdsa", { ...size, ...more } as { bits: 384 })
          .private;
    const plain = make();
    await check(plain, keyType);
    const { encrypted, publicKey } = outlineKey(plain);
    assert.equal(encrypted, false);
    assert.deepEqual(publicKey, (await parsePrivateKey(plain)).publicKey);

    const locked = make({ passphrase: PASSPHRASE, cipher: "aes256-ctr", rounds: 2 });
    await check(locked, keyType, PASSPHRASE);
    assert.equal(outlineKey(locked).encrypted, true);
    assert.deepEqual(
      outlineKey(locked).publicKey,
      (await parsePrivateKey(locked, PASSPHRASE)).publicKey,
    );
    await assert.rejects(parsePrivateKey(locked), isKeyError("passphrase-needed"));
    await assert.rejects(parsePrivateKey(locked, "wrong"), isKeyError("passphrase-wrong"));
  });
}

Deno.test("parsePrivateKey() reads OpenSSH's ECDSA keys whatever digits they begin with", async () => {
  const { ssh2 } = await loadSsh2();
  for (const bits of [256, 384, 521] as const) {
    // Half of the private numbers need a sign byte, which the curve's own encoding does not have.
    for (let i = 0; i < 12; i++) {
      const { private: text } = ssh2.utils.generateKeyPairSync("ecdsa", { bits });
      await check(text, `ecdsa-sha2-nistp${bits}`);
    }
  }
});

Deno.test("parsePrivateKey() opens PKCS#8 with the encryption of node:crypto", async () => {
  for (const [keyType, key] of Object.entries(PAIRS)) {
    const text = String(
      key.export({ type: "pkcs8", format: "pem", cipher: "aes-256-cbc", passphrase: PASSPHRASE }),
    );
    assert.deepEqual(outlineKey(text), { encrypted: true });
    await check(text, keyType, PASSPHRASE);
    await assert.rejects(parsePrivateKey(text), isKeyError("passphrase-needed"));
    for (let i = 0; i < 5; i++) {
      await assert.rejects(parsePrivateKey(text, `wrong ${i}`), isKeyError("passphrase-wrong"));
    }
  }
});

Deno.test("parsePrivateKey() advises on common mistakes", async () => {
  const cases: [string, RegExp][] = [
    ["", /^is not a private key$/],
    ["hello", /^is not a private key$/],
    ["PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none\n", /PuTTY's format; convert.*puttygen/],
    ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIM7G u@h", /is a public key/],
    ["ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTY= u@h\n", /is a public key/],
    ["---- BEGIN SSH2 PUBLIC KEY ----\nAAAA\n---- END SSH2 PUBLIC KEY ----", /is a public key/],
    ["-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----", /is a public key/],
    ["-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", /is a certificate/],
    ["-----BEGIN RSA PRIVATE KEY-----\nAAAA", /^is not a private key$/],
    ["-----BEGIN RSA PRIVATE KEY-----\n!!!!\n-----END RSA PRIVATE KEY-----", /is damaged/],
    ["-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----", /is damaged/],
  ];
  for (const [text, message] of cases) {
    await assert.rejects(parsePrivateKey(text), isKeyError("malformed", message), text);
  }
});

Deno.test("parsePrivateKey() refuses keys that SSH does not have", async () => {
  const k1 = generateKeyPairSync("x25519").privateKey.export({ type: "pkcs8", format: "pem" });
  await assert.rejects(parsePrivateKey(String(k1)), isKeyError("unsupported"));
  const dsa = "-----BEGIN DSA PRIVATE KEY-----\nAAAA\n-----END DSA PRIVATE KEY-----\n";
  await assert.rejects(
    parsePrivateKey(dsa),
    isKeyError("unsupported", /is a dsa private key, which is not supported/),
  );
});

Deno.test("parsePrivateKey() meets damaged keys with a KeyError", async () => {
  const { ssh2 } = await loadSsh2();
  const texts = [
    ...Object.values(PAIRS).flatMap((key) => Object.values(formatsOf(key))),
    newEd25519(ssh2).private,
    String(
      PAIRS["ssh-ed25519"]!.export({
        type: "pkcs8",
        format: "pem",
        cipher: "aes-256-cbc",
        passphrase: PASSPHRASE,
      }),
    ),
  ];
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...texts),
      fc.double({ min: 0, max: 1, noNaN: true }),
      async (text, share) => {
        const [, begin, body, end] = /^(-----BEGIN [^\n]+\n)([\s\S]*?)(-----END [\s\S]*)$/.exec(
          text,
        )!;
        const bytes = Buffer.from(body!, "base64");
        const cut = bytes.subarray(0, Math.floor(share * (bytes.byteLength - 1)));
        const damaged = begin! + cut.toString("base64") + "\n" + end;
        await assert.rejects(
          parsePrivateKey(damaged, PASSPHRASE),
          (error) => error instanceof KeyError,
        );
      },
    ),
    { numRuns: 100 },
  );
  await fc.assert(
    fc.asyncProperty(fc.string({ maxLength: 500 }), async (text) => {
      await assert.rejects(parsePrivateKey(text, "x"), (error) => error instanceof KeyError);
    }),
  );
});
