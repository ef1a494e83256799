/**
 * Checks a request's AWS Signature Version 4 with an implementation that the AWS SDK's clients bring
 * along but that knows nothing of how the request was sent.
 *
 * @module
 */

import { createHash, createHmac } from "node:crypto";
import { SignatureV4 } from "@smithy/signature-v4";
import type { Credentials } from "../../../lib/core/mod.ts";
import type { Seen } from "./peers.ts";

type Data = string | ArrayBuffer | ArrayBufferView;

function bytes(data: Data): Uint8Array {
  if (typeof data === "string") return new TextEncoder().encode(data);
  if (ArrayBuffer.isView(data)) {
    return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  }
  return new Uint8Array(data);
}

class Sha256 {
  readonly #hash;

  constructor(secret?: Data) {
    this.#hash = secret === undefined ? createHash("sha256") : createHmac("sha256", bytes(secret));
  }

  update(data: Data): void {
    this.#hash.update(bytes(data));
  }

  digest(): Promise<Uint8Array> {
    return Promise.resolve(new Uint8Array(this.#hash.digest()));
  }

  reset(): void {}
}

/** The `authorization` header that a request as it arrived ought to have. */
export async function expectedAuthorization(
  seen: Seen,
  credentials: Pick<Credentials, "accessKeyId" | "secretAccessKey">,
  scope: { region: string; service: string },
): Promise<string | undefined> {
  const given = seen.headers.get("authorization") ?? "";
  const names = /SignedHeaders=([^,]+)/.exec(given)?.[1]?.split(";") ?? [];
  const signer = new SignatureV4({ ...scope, credentials, sha256: Sha256, applyChecksum: false });
  const stamp = seen.headers.get("x-amz-date") ?? "";
  const [, year, month, day, hour, minute, second] =
    /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(stamp) ?? [];
  const signed = await signer.sign({
    method: seen.method,
    protocol: "http:",
    hostname: "127.0.0.1",
    path: seen.path,
    query: Object.fromEntries(seen.query),
    headers: Object.fromEntries(names.map((name) => [name, seen.headers.get(name) ?? ""])),
    body: seen.body,
  }, {
    signingDate: new Date(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`),
    signableHeaders: new Set(names),
  });
  return signed.headers["authorization"];
}
