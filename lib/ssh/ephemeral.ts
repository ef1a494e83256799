/**
 * Keys that live in memory only, for one login.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { generateKeyPairSync, sign } from "node:crypto";
import type { Identity } from "./identity.ts";
import { encodePublicKey } from "./public_key.ts";
import { fingerprint, keyTypeOf } from "./wire.ts";

/** An identity that nobody knows yet. */
export interface EphemeralIdentity extends Identity {
  /** Its public half as a line of `authorized_keys`. */
  readonly authorizedKey: string;
}

/**
 * Makes an ed25519 key that is written nowhere.
 * @param label stands for its path in messages
 */
export function createEphemeralIdentity(label: string): EphemeralIdentity {
  const pair = generateKeyPairSync("ed25519");
  const publicKey = encodePublicKey(pair.publicKey);
  const keyType = keyTypeOf(publicKey);
  return {
    source: "memory",
    label,
    keyType,
    publicKey,
    fingerprint: fingerprint(publicKey),
    authorizedKey: `${keyType} ${Buffer.from(publicKey).toString("base64")}`,
    sign: (data) => Promise.resolve(new Uint8Array(sign(undefined, data, pair.privateKey))),
  };
}
