/**
 * SSH keys of the sandbox: made when it starts, gone when it ends.
 *
 * `ssh2` can make keys too, but drops a leading zero byte of ed25519 keys: one in 256 is unusable.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { createHash, generateKeyPairSync, randomBytes } from "node:crypto";

/** A key pair. */
export interface KeyPair {
  /** OpenSSH format, without passphrase. */
  readonly privateKey: string;
  /** One line as in `authorized_keys`. */
  readonly publicKey: string;
}

const KEY_TYPE = "ssh-ed25519";
const CIPHER_BLOCK_BYTES = 8;
const LINE_CHARS = 70;

/** Makes an ed25519 key pair. */
export function generateKeyPair(comment: string): KeyPair {
  const { d = "", x = "" } = generateKeyPairSync("ed25519").privateKey.export({ format: "jwk" });
  const [secret, point] = [Buffer.from(d, "base64url"), Buffer.from(x, "base64url")];
  const blob = Buffer.concat([text(KEY_TYPE), text(point)]);
  return {
    privateKey: armor(privateKeyFile(blob, secret, point, comment)),
    publicKey: `${KEY_TYPE} ${blob.toString("base64")} ${comment}`,
  };
}

/** `SHA256:…` of a public key's blob, as `ssh-keygen -l` prints it. */
export function fingerprint(blob: Uint8Array): string {
  return `SHA256:${createHash("sha256").update(blob).digest("base64").replace(/=+$/, "")}`;
}

/** Fingerprint of a line of `authorized_keys`. */
export function fingerprintOfLine(publicKey: string): string {
  return fingerprint(Buffer.from(publicKey.split(/\s+/)[1] ?? "", "base64"));
}

/** OpenSSH's PROTOCOL.key, without encryption. */
function privateKeyFile(blob: Buffer, secret: Buffer, point: Buffer, comment: string): Buffer {
  const check = randomBytes(4);
  let inner = Buffer.concat([
    check,
    check,
    blob,
    text(Buffer.concat([secret, point])),
    text(comment),
  ]);
  for (let pad = 1; inner.byteLength % CIPHER_BLOCK_BYTES !== 0; pad++) {
    inner = Buffer.concat([inner, Buffer.from([pad])]);
  }
  return Buffer.concat([
    Buffer.from("openssh-key-v1\0"),
    text("none"),
    text("none"),
    text(""),
    uint32(1),
    text(blob),
    text(inner),
  ]);
}

function armor(file: Buffer): string {
  const lines = file.toString("base64").match(new RegExp(`.{1,${LINE_CHARS}}`, "g")) ?? [];
  const [begin, end] = ["BEGIN", "END"].map((word) => `-----${word} OPENSSH PRIVATE KEY-----`);
  return [begin, ...lines, end, ""].join("\n");
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** A `string` of RFC 4251 section 5. */
function text(value: string | Buffer): Buffer {
  const bytes = Buffer.from(value as string);
  return Buffer.concat([uint32(bytes.byteLength), bytes]);
}
