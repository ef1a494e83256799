/**
 * Private keys in every format that people keep them in: OpenSSH, PEM (PKCS#1, SEC1) and PKCS#8, plain
 * and encrypted; RSA, ECDSA and Ed25519.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { createPrivateKey, type KeyObject, sign } from "node:crypto";
import type { ParsedKey } from "ssh2";
import { DerReader, DerTag } from "./der.ts";
import { KeyError } from "./key_error.ts";
import { openPem, openPkcs8 } from "./key_encryption.ts";
import { readOpenSshKey } from "./openssh_key.ts";
import { parsePem, type PemBlock } from "./pem.ts";
import { ecdsaJwk, encodePublicKey } from "./public_key.ts";
import { loadSsh2 } from "./ssh2.ts";
import { keyTypeOf } from "./wire.ts";

/** Hash of an RSA signature; other keys imply theirs. */
export type RsaHash = "sha1" | "sha256" | "sha512";

/** A private key that can sign. */
export interface PrivateKey {
  readonly keyType: string;
  /** Wire format. */
  readonly publicKey: Uint8Array;
  /** @returns the signature without SSH header; DER for ECDSA */
  sign(data: Uint8Array, hash?: RsaHash): Uint8Array;
}

/** What is known of a key file without its passphrase. */
export interface KeyOutline {
  readonly encrypted: boolean;
  /** Absent where only the passphrase opens it as well. */
  readonly publicKey?: Uint8Array;
}

/** Structure of a DER body by PEM label. */
const DER_TYPES: Readonly<Record<string, "pkcs1" | "sec1" | "pkcs8">> = {
  "RSA PRIVATE KEY": "pkcs1",
  "EC PRIVATE KEY": "sec1",
  "PRIVATE KEY": "pkcs8",
  "ENCRYPTED PRIVATE KEY": "pkcs8",
};

/** RFC 5656 section 6.2.1: the hash follows from the size of the curve. */
const ECDSA_HASHES: Readonly<Record<string, string>> = {
  "ecdsa-sha2-nistp256": "sha256",
  "ecdsa-sha2-nistp384": "sha384",
  "ecdsa-sha2-nistp521": "sha512",
};

function isEncrypted(block: PemBlock): boolean {
  return block.label === "ENCRYPTED PRIVATE KEY" ||
    (block.headers.get("proc-type")?.includes("ENCRYPTED") ?? false);
}

/**
 * Looks at a key file from outside.
 * @throws KeyError `malformed`, `unsupported`
 */
export function outlineKey(text: string): KeyOutline {
  const block = parsePem(text);
  if (block.label === "OPENSSH PRIVATE KEY") {
    const { encrypted, publicKey } = readOpenSshKey(block.body);
    return { encrypted, publicKey };
  }
  if (!(block.label in DER_TYPES)) {
    throw new KeyError("unsupported", `is a ${block.label.toLowerCase()}, which is not supported`);
  }
  return { encrypted: isEncrypted(block) };
}

/**
 * Reads a private key.
 * @param passphrase needed if it is encrypted, else not looked at
 * @throws KeyError of every kind
 */
export async function parsePrivateKey(text: string, passphrase?: string): Promise<PrivateKey> {
  const { encrypted } = outlineKey(text);
  if (encrypted && passphrase === undefined) {
    throw new KeyError("passphrase-needed", "is encrypted");
  }
  const block = parsePem(text);
  try {
    return fromKeyObject(
      block.label === "OPENSSH PRIVATE KEY"
        ? await openOpenSsh(text, block, passphrase)
        : openDer(text, block, encrypted ? passphrase : undefined),
    );
  } catch (cause) {
    if (cause instanceof KeyError) throw cause;
    throw new KeyError("unsupported", "is damaged, or of a type that is not supported", { cause });
  }
}

/** The inner layer of OpenSSH's format (bcrypt and all) is left to ssh2. */
async function openOpenSsh(
  text: string,
  block: PemBlock,
  passphrase: string | undefined,
): Promise<KeyObject> {
  const { encrypted, cipher, publicKey } = readOpenSshKey(block.body);
  const keyType = keyTypeOf(publicKey);
  const { ssh2 } = await loadSsh2();
  const parsed: unknown = ssh2.utils.parseKey(text, encrypted ? passphrase : undefined);
  // The format can hold several keys, so ssh2 returns an array, which its types leave out.
  const key = (Array.isArray(parsed) ? parsed[0] : parsed) as ParsedKey | Error;
  if (!(key instanceof Error)) {
    const pem = key.getPrivatePEM();
    return keyType in ECDSA_HASHES ? ecdsaKey(pem, publicKey) : createPrivateKey(pem);
  }
  // ssh2 tells these cases apart by its messages only.
  if (keyType !== "ssh-rsa" && keyType !== "ssh-ed25519" && !(keyType in ECDSA_HASHES)) {
    throw new KeyError("unsupported", `is of type ${keyType}, which is not supported`);
  }
  if (!encrypted) throw new KeyError("malformed", "is damaged", { cause: key });
  if (!OPENSSH_CIPHERS.includes(cipher)) {
    throw new KeyError("unsupported", `is encrypted with ${cipher}, which is not supported`);
  }
  throw new KeyError("passphrase-wrong", "does not open with this passphrase", { cause: key });
}

/** Ciphers of OpenSSH's format that ssh2 can open. */
const OPENSSH_CIPHERS: readonly string[] = [
  "aes256-ctr", // the one that ssh-keygen takes unless told otherwise
  "aes128-ctr",
  "aes192-ctr",
  "aes128-cbc",
  "aes192-cbc",
  "aes256-cbc",
  "aes128-gcm@openssh.com",
  "aes256-gcm@openssh.com",
  "3des-cbc",
];

/**
 * An ECDSA key from the PEM that ssh2 makes of it. It copies the private number as SSH has it, of any
 * length and with a sign byte; Deno takes only the exact length of the curve (RFC 5915 section 3), and
 * so refuses every second key.
 */
function ecdsaKey(pem: string, publicKey: Uint8Array): KeyObject {
  const sec1 = new DerReader(parsePem(pem).body).sequence();
  sec1.integer(); // version
  return createPrivateKey({
    key: ecdsaJwk(publicKey, sec1.element(DerTag.OctetString)),
    format: "jwk",
  });
}

function openDer(text: string, block: PemBlock, passphrase: string | undefined): KeyObject {
  let der = block.body;
  if (passphrase !== undefined) {
    try {
      der = block.label === "ENCRYPTED PRIVATE KEY"
        ? openPkcs8(block.body, passphrase)
        : openPem(block, passphrase);
    } catch (error) {
      if (!(error instanceof KeyError) || error.kind !== "unsupported") throw error;
      try {
        return createPrivateKey({ key: text, format: "pem", passphrase });
      } catch {
        throw error;
      }
    }
  }
  const type = DER_TYPES[block.label]!;
  return createPrivateKey({ key: Buffer.from(der), format: "der", type });
}

function fromKeyObject(key: KeyObject): PrivateKey {
  const publicKey = encodePublicKey(key);
  const keyType = keyTypeOf(publicKey);
  return {
    keyType,
    publicKey,
    sign: (data, hash) => {
      const digest = keyType === "ssh-rsa" ? hash ?? "sha1" : ECDSA_HASHES[keyType];
      return new Uint8Array(sign(digest, data, key));
    },
  };
}
