/**
 * SSH keys of the sandbox: made when it starts, gone when it ends.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { loadSsh2 } from "../../ssh/mod.ts";

/** A key pair. */
export interface KeyPair {
  /** OpenSSH format, without passphrase. */
  readonly privateKey: string;
  /** One line as in `authorized_keys`. */
  readonly publicKey: string;
}

/** Makes an ed25519 key pair. */
export async function generateKeyPair(comment: string): Promise<KeyPair> {
  const { ssh2 } = await loadSsh2();
  const pair = ssh2.utils.generateKeyPairSync("ed25519", { comment });
  return { privateKey: pair.private, publicKey: pair.public };
}

/** `SHA256:…` of a public key's blob, as `ssh-keygen -l` prints it. */
export function fingerprint(blob: Uint8Array): string {
  return `SHA256:${createHash("sha256").update(blob).digest("base64").replace(/=+$/, "")}`;
}

/** Fingerprint of a line of `authorized_keys`. */
export function fingerprintOfLine(publicKey: string): string {
  const blob = publicKey.split(/\s+/)[1] ?? "";
  return fingerprint(Uint8Array.from(atob(blob), (char) => char.charCodeAt(0)));
}
