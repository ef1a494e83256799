/**
 * New Ed25519 keys for tests.
 *
 * @module
 */

import type { Ssh2 } from "../../lib/ssh/mod.ts";

/** Bytes of an Ed25519 public key in wire format: two length-prefixed strings of 11 and 32 bytes. */
const PUBLIC_BYTES = 4 + 11 + 4 + 32;

/**
 * A new key in OpenSSH's format. ssh2 drops a leading zero byte of one key in some 200, which nothing can
 * read; such a key is thrown away.
 */
export function newEd25519(
  ssh2: Ssh2,
  options: { passphrase?: string; cipher?: string; rounds?: number } = {},
): { private: string; public: string } {
  for (;;) {
    const pair = ssh2.utils.generateKeyPairSync("ed25519", options as never);
    const key = ssh2.utils.parseKey(pair.private, options.passphrase);
    if (!(key instanceof Error) && key.getPublicSSH().byteLength === PUBLIC_BYTES) return pair;
  }
}
