/**
 * The outer layer of OpenSSH's private key format (PROTOCOL.key of OpenSSH): how it is encrypted, and
 * the public key, which is readable without a passphrase.
 *
 * @module
 */

import { KeyError } from "./key_error.ts";
import { WireReader } from "./wire.ts";

const MAGIC = "openssh-key-v1\0";

/** What can be read without the passphrase. */
export interface OpenSshKey {
  readonly encrypted: boolean;
  /** Cipher name, for example `aes256-ctr`; `none` when not encrypted. */
  readonly cipher: string;
  readonly publicKey: Uint8Array;
}

/** @throws KeyError `malformed` */
export function readOpenSshKey(body: Uint8Array): OpenSshKey {
  try {
    const reader = new WireReader(body);
    if (new TextDecoder().decode(reader.raw(MAGIC.length)) !== MAGIC) {
      throw new RangeError("No magic");
    }
    const cipher = reader.text();
    reader.text(); // name of the key derivation function
    reader.string(); // its options
    const count = reader.uint32();
    if (count !== 1) throw new RangeError(`${count} keys in one file`);
    const publicKey = reader.string().slice();
    reader.string(); // private section
    return { encrypted: cipher !== "none", cipher, publicKey };
  } catch (cause) {
    throw new KeyError("malformed", "is damaged", { cause });
  }
}
