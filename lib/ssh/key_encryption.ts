/**
 * Opens encrypted private keys of the two families that OpenSSL writes: PKCS#8 with PBES2 (RFC 8018
 * section 6.2; PBKDF2 or scrypt) and the older PEM headers (RFC 1421, key derivation of OpenSSL).
 *
 * Done here and not by `createPrivateKey({ passphrase })`, which on Deno fails for keys whose PBKDF2
 * uses SHA-1 (OpenSSL before 1.1, LibreSSL) and, before 2.9, for all keys with PEM headers; and which
 * does not tell a wrong passphrase from a cipher it does not know.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { createDecipheriv, createHash, pbkdf2Sync, scryptSync } from "node:crypto";
import { DerReader, DerTag } from "./der.ts";
import { KeyError } from "./key_error.ts";
import type { PemBlock } from "./pem.ts";

interface Cipher {
  readonly name: string;
  readonly keyBytes: number;
}

const AES_128 = { name: "aes-128-cbc", keyBytes: 16 };
const AES_192 = { name: "aes-192-cbc", keyBytes: 24 };
const AES_256 = { name: "aes-256-cbc", keyBytes: 32 };
const DES_EDE3 = { name: "des-ede3-cbc", keyBytes: 24 };

const PBES2 = "1.2.840.113549.1.5.13";
const PBKDF2 = "1.2.840.113549.1.5.12";
const SCRYPT = "1.3.6.1.4.1.11591.4.11";

const CIPHER_OIDS: Readonly<Record<string, Cipher>> = {
  "2.16.840.1.101.3.4.1.2": AES_128,
  "2.16.840.1.101.3.4.1.22": AES_192,
  "2.16.840.1.101.3.4.1.42": AES_256,
  "1.2.840.113549.3.7": DES_EDE3,
};

const PRF_OIDS: Readonly<Record<string, string>> = {
  "1.2.840.113549.2.7": "sha1",
  "1.2.840.113549.2.8": "sha224",
  "1.2.840.113549.2.9": "sha256",
  "1.2.840.113549.2.10": "sha384",
  "1.2.840.113549.2.11": "sha512",
};

/** Ciphers of `DEK-Info`. */
const DEK_CIPHERS: Readonly<Record<string, Cipher>> = {
  "AES-128-CBC": AES_128,
  "AES-192-CBC": AES_192,
  "AES-256-CBC": AES_256,
  "DES-EDE3-CBC": DES_EDE3,
};

/** Bounds of what a key file may make this process compute: well above what tools write. */
const MAX_ITERATIONS = 50_000_000;
const MAX_SCRYPT_BYTES = 512 * 1024 * 1024;

const REENCRYPT = "re-encrypt it with `ssh-keygen -p -f KEY`";

function decrypt(cipher: Cipher, key: Uint8Array, iv: Uint8Array, data: Uint8Array): Uint8Array {
  let decipher;
  try {
    decipher = createDecipheriv(cipher.name, key, iv);
  } catch (cause) {
    const message = `is encrypted with ${cipher.name}, which this runtime lacks; ${REENCRYPT}`;
    throw new KeyError("unsupported", message, { cause });
  }
  try {
    return new Uint8Array(Buffer.concat([decipher.update(data), decipher.final()]));
  } catch (cause) {
    // The padding is wrong, and so, but for damage, is the key that was derived.
    throw new KeyError("passphrase-wrong", "does not open with this passphrase", { cause });
  }
}

/** A function from passphrase to key, as the parameters say. */
type Derive = (passphrase: string, keyBytes: number) => Uint8Array;

function readDerivation(kdf: DerReader): Derive {
  const oid = kdf.oid();
  const parameters = kdf.sequence();
  if (oid === PBKDF2) {
    const salt = parameters.element(DerTag.OctetString);
    const iterations = parameters.integer();
    if (parameters.tag === DerTag.Integer) parameters.integer();
    const prfOid = parameters.done ? "1.2.840.113549.2.7" : parameters.sequence().oid();
    const prf = PRF_OIDS[prfOid];
    if (!prf) throw new KeyError("unsupported", `uses an unknown PRF (${prfOid}); ${REENCRYPT}`);
    if (iterations < 1 || iterations > MAX_ITERATIONS) throw new RangeError("Bad iteration count");
    return (passphrase, keyBytes) => pbkdf2Sync(passphrase, salt, iterations, keyBytes, prf);
  }
  if (oid === SCRYPT) {
    const salt = parameters.element(DerTag.OctetString);
    const [N, r, p] = [parameters.integer(), parameters.integer(), parameters.integer()];
    if (128 * N * r > MAX_SCRYPT_BYTES || N * r * p > MAX_ITERATIONS) {
      throw new RangeError("Bad scrypt cost");
    }
    return (passphrase, keyBytes) =>
      scryptSync(passphrase, salt, keyBytes, { N, r, p, maxmem: 2 * MAX_SCRYPT_BYTES });
  }
  throw new KeyError("unsupported", `uses an unknown key derivation (${oid}); ${REENCRYPT}`);
}

/**
 * Opens an `ENCRYPTED PRIVATE KEY` (EncryptedPrivateKeyInfo, RFC 5958 section 3).
 * @returns the PrivateKeyInfo in DER
 * @throws KeyError
 */
export function openPkcs8(body: Uint8Array, passphrase: string): Uint8Array {
  let derive: Derive;
  let cipher: Cipher | undefined;
  let iv: Uint8Array;
  let data: Uint8Array;
  try {
    const info = new DerReader(body).sequence();
    const algorithm = info.sequence();
    data = info.element(DerTag.OctetString);
    const scheme = algorithm.oid();
    if (scheme !== PBES2) {
      throw new KeyError("unsupported", `uses an outdated encryption (${scheme}); ${REENCRYPT}`);
    }
    const parameters = algorithm.sequence();
    derive = readDerivation(parameters.sequence());
    const encryption = parameters.sequence();
    const cipherOid = encryption.oid();
    cipher = CIPHER_OIDS[cipherOid];
    if (!cipher) {
      throw new KeyError("unsupported", `uses an unknown cipher (${cipherOid}); ${REENCRYPT}`);
    }
    iv = encryption.element(DerTag.OctetString);
  } catch (cause) {
    if (cause instanceof KeyError) throw cause;
    throw new KeyError("malformed", "is damaged: its encryption header is wrong", { cause });
  }
  const opened = decrypt(cipher, derive(passphrase, cipher.keyBytes), iv, data);
  return checked(opened);
}

/**
 * Opens a key with `Proc-Type: 4,ENCRYPTED`.
 * @returns the key in DER, of the structure that the label names
 * @throws KeyError
 */
export function openPem(block: PemBlock, passphrase: string): Uint8Array {
  const [name = "", hexIv = ""] = (block.headers.get("dek-info") ?? "").split(",");
  const cipher = DEK_CIPHERS[name.trim().toUpperCase()];
  if (!cipher) {
    throw new KeyError(
      "unsupported",
      `is encrypted with ${name || "an unnamed cipher"}; ${REENCRYPT}`,
    );
  }
  const iv = new Uint8Array(Buffer.from(hexIv.trim(), "hex"));
  // EVP_BytesToKey of OpenSSL with MD5 and one round, salted with the first 8 bytes of the IV.
  let key: Buffer = Buffer.alloc(0);
  let last: Buffer = Buffer.alloc(0);
  while (key.byteLength < cipher.keyBytes) {
    last = createHash("md5").update(last).update(passphrase).update(iv.subarray(0, 8)).digest();
    key = Buffer.concat([key, last]);
  }
  return checked(decrypt(cipher, key.subarray(0, cipher.keyBytes), iv, block.body));
}

/** Every private key is a SEQUENCE; one wrong passphrase in 256 yields a valid padding by chance. */
function checked(opened: Uint8Array): Uint8Array {
  try {
    const reader = new DerReader(opened);
    reader.sequence();
    if (reader.done) return opened;
  } catch {
    // Falls through: no DER at all.
  }
  throw new KeyError("passphrase-wrong", "does not open with this passphrase");
}
