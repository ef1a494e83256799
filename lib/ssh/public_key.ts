/**
 * Public keys of `node:crypto` in SSH's wire format (RFC 4253 section 6.6, RFC 5656, RFC 8709).
 *
 * @module
 */

import { Buffer } from "node:buffer";
import type { JsonWebKey, KeyObject } from "node:crypto";
import { KeyError } from "./key_error.ts";
import { concat, mpint, string, WireReader } from "./wire.ts";

/** Name in SSH and bytes of a coordinate, by the curve's name in JSON Web Keys. */
const CURVES: Readonly<Record<string, { readonly name: string; readonly bytes: number }>> = {
  "P-256": { name: "nistp256", bytes: 32 },
  "P-384": { name: "nistp384", bytes: 48 },
  "P-521": { name: "nistp521", bytes: 66 },
};

function decode(base64url: string | undefined): Uint8Array {
  return new Uint8Array(Buffer.from(base64url ?? "", "base64url"));
}

function leftPad(bytes: Uint8Array, length: number): Uint8Array {
  return concat(new Uint8Array(Math.max(0, length - bytes.byteLength)), bytes);
}

/**
 * The public half of a key in wire format.
 * @throws KeyError `unsupported` for a type that SSH does not have
 */
export function encodePublicKey(key: KeyObject): Uint8Array {
  const jwk = exportJwk(key);
  if (jwk.kty === "RSA") {
    return concat(string("ssh-rsa"), mpint(decode(jwk.e)), mpint(decode(jwk.n)));
  }
  if (jwk.kty === "OKP" && jwk.crv === "Ed25519") {
    return concat(string("ssh-ed25519"), string(decode(jwk.x)));
  }
  const curve = jwk.kty === "EC" ? CURVES[jwk.crv ?? ""] : undefined;
  if (curve) {
    const point = concat(
      [4], // uncompressed
      leftPad(decode(jwk.x), curve.bytes),
      leftPad(decode(jwk.y), curve.bytes),
    );
    return concat(string(`ecdsa-sha2-${curve.name}`), string(curve.name), string(point));
  }
  throw new KeyError("unsupported", `is a ${jwk.crv ?? jwk.kty} key, which SSH does not have`);
}

/**
 * An ECDSA key as a JSON Web Key (RFC 7518 section 6.2).
 * @param publicKey in wire format
 * @param scalar private number, big-endian, of any length
 * @throws KeyError `malformed`
 */
export function ecdsaJwk(publicKey: Uint8Array, scalar: Uint8Array): JsonWebKey {
  const reader = new WireReader(publicKey);
  reader.string(); // key type, which repeats the name of the curve
  const name = reader.text();
  const point = reader.string();
  const [crv, curve] = Object.entries(CURVES).find(([, each]) => each.name === name) ?? [];
  const firstDigit = scalar.findIndex((byte) => byte !== 0);
  const digits = firstDigit === -1 ? new Uint8Array() : scalar.subarray(firstDigit);
  if (
    !crv || !curve || point.byteLength !== 1 + 2 * curve.bytes || digits.byteLength > curve.bytes
  ) throw new KeyError("malformed", "is damaged");
  const encode = (bytes: Uint8Array) => Buffer.from(bytes).toString("base64url");
  return {
    kty: "EC",
    crv,
    x: encode(point.subarray(1, 1 + curve.bytes)),
    y: encode(point.subarray(1 + curve.bytes)),
    d: encode(leftPad(digits, curve.bytes)),
  };
}

function exportJwk(key: KeyObject): JsonWebKey {
  try {
    return key.export({ format: "jwk" });
  } catch (cause) {
    const message = `is a ${key.asymmetricKeyType} key, which SSH does not have`;
    throw new KeyError("unsupported", message, { cause });
  }
}
