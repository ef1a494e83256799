/**
 * Verification of AWS Signature Version 4, with AWS's own signer as the judge: the request is signed
 * again with the secret that the sandbox knows, and the two signatures are compared.
 *
 * Source: AWS Signature Version 4, "Create a signed AWS API request".
 *
 * @module
 */

import { createHash, createHmac, type Hash, type Hmac, timingSafeEqual } from "node:crypto";
import type { SignatureV4 } from "@smithy/signature-v4";
import type { Identities, Identity } from "../identities.ts";

/** How far a request's date may be off, in milliseconds. */
const MAX_SKEW_MS = 5 * 60_000;
const ALGORITHM = "AWS4-HMAC-SHA256";

/** What is wrong with a signature. */
export type SignatureProblem =
  | "missing"
  | "incomplete"
  | "unknown-key"
  | "wrong-region"
  | "wrong-service"
  | "expired"
  | "not-yet-current"
  | "mismatch"
  | "token-expired"
  | "token-invalid";

/** A request that is not signed as it should be; the message is AWS's. */
export class SignatureFault extends Error {
  override readonly name = "SignatureFault";

  constructor(readonly problem: SignatureProblem, message: string) {
    super(message);
  }
}

/** A request as it came. */
export interface SignedRequest {
  readonly method: string;
  /** Path as sent. */
  readonly path: string;
  /** Query as sent, without the question mark. */
  readonly query: string;
  /** Header by lower-case name. */
  readonly header: (name: string) => string | null | undefined;
  readonly body: Uint8Array;
}

/** What the signature must be for. */
export interface SignatureScope {
  readonly service: string;
  readonly region: string;
  /** Milliseconds since the Unix epoch. */
  readonly now: number;
}

interface Claim {
  readonly accessKeyId: string;
  readonly date: string;
  readonly region: string;
  readonly service: string;
  readonly signedHeaders: readonly string[];
  readonly signature: string;
  readonly signedAt: string;
  readonly token: string | null;
  /** Seconds; present for a signature in the query. */
  readonly expires?: number;
}

/**
 * Finds out who signed a request.
 * @throws SignatureFault
 */
export async function verifySignature(
  request: SignedRequest,
  scope: SignatureScope,
  identities: Identities,
): Promise<Identity> {
  const claim = readClaim(request);
  const identity = identities.find(claim.accessKeyId);
  if (!identity) {
    throw new SignatureFault(
      "unknown-key",
      "The security token included in the request is invalid.",
    );
  }
  checkScope(claim, scope);
  checkToken(claim, identity);
  const expected = await signatureOf(request, claim, identity);
  checkBody(request);
  if (!sameText(expected, claim.signature)) {
    throw new SignatureFault(
      "mismatch",
      "The request signature we calculated does not match the signature you provided. " +
        "Check your AWS Secret Access Key and signing method. " +
        "Consult the service documentation for details.",
    );
  }
  const { expiration } = identity.credentials;
  if (expiration !== undefined && expiration <= scope.now) {
    throw new SignatureFault(
      "token-expired",
      "The security token included in the request is expired",
    );
  }
  return identity;
}

function readClaim(request: SignedRequest): Claim {
  const authorization = request.header("authorization");
  const claim = authorization ? fromHeader(request, authorization) : fromQuery(request);
  if (!claim) throw new SignatureFault("missing", "Missing Authentication Token");
  return claim;
}

function fromHeader(request: SignedRequest, authorization: string): Claim {
  const incomplete = (what: string) =>
    new SignatureFault(
      "incomplete",
      `Authorization header requires '${what}' parameter. Authorization=${ALGORITHM}`,
    );
  if (!authorization.startsWith(`${ALGORITHM} `)) throw incomplete("Credential");
  const fields = new Map(
    authorization.slice(ALGORITHM.length).split(",").map((part) => {
      const [key = "", ...value] = part.trim().split("=");
      return [key, value.join("=")];
    }),
  );
  const field = (name: string) => {
    const value = fields.get(name);
    if (!value) throw incomplete(name);
    return value;
  };
  const signedAt = request.header("x-amz-date");
  if (!signedAt) {
    throw new SignatureFault(
      "incomplete",
      "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.",
    );
  }
  return {
    ...credentialOf(field("Credential")),
    signedHeaders: field("SignedHeaders").split(";"),
    signature: field("Signature"),
    signedAt,
    token: request.header("x-amz-security-token") ?? null,
  };
}

function fromQuery(request: SignedRequest): Claim | undefined {
  const query = parseQuery(request.query);
  const signature = query["X-Amz-Signature"];
  if (signature === undefined) return undefined;
  return {
    ...credentialOf(query["X-Amz-Credential"] ?? ""),
    signedHeaders: (query["X-Amz-SignedHeaders"] ?? "").split(";"),
    signature,
    signedAt: query["X-Amz-Date"] ?? "",
    token: query["X-Amz-Security-Token"] ?? null,
    expires: Number(query["X-Amz-Expires"] ?? 0),
  };
}

function credentialOf(credential: string) {
  const [accessKeyId, date, region, service, end] = credential.split("/");
  if (!accessKeyId || !date || !region || !service || end !== "aws4_request") {
    throw new SignatureFault(
      "incomplete",
      `Credential must have exactly 5 slash-delimited elements, e.g. ` +
        `keyid/date/region/service/term, got '${credential}'`,
    );
  }
  return { accessKeyId, date, region, service };
}

function checkScope(claim: Claim, scope: SignatureScope): void {
  if (claim.region !== scope.region) {
    throw new SignatureFault("wrong-region", "Credential should be scoped to a valid region. ");
  }
  if (claim.service !== scope.service) {
    throw new SignatureFault(
      "wrong-service",
      `Credential should be scoped to correct service: '${scope.service}'. `,
    );
  }
  const signedAt = parseLongDate(claim.signedAt);
  if (signedAt === undefined || !claim.signedAt.startsWith(claim.date)) {
    throw new SignatureFault(
      "incomplete",
      `Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: ` +
        `'${claim.date}' != '${claim.signedAt.slice(0, 8)}', from '${claim.signedAt}'.`,
    );
  }
  const lifetime = claim.expires === undefined ? MAX_SKEW_MS : claim.expires * 1000;
  const now = longDate(scope.now);
  if (signedAt + lifetime < scope.now) {
    throw new SignatureFault(
      "expired",
      `Signature expired: ${claim.signedAt} is now earlier than ` +
        `${longDate(scope.now - lifetime)} (${now} - ${lifetime / 60_000} min.)`,
    );
  }
  if (signedAt - MAX_SKEW_MS > scope.now) {
    throw new SignatureFault(
      "not-yet-current",
      `Signature not yet current: ${claim.signedAt} is still later than ` +
        `${longDate(scope.now + MAX_SKEW_MS)} (${now} + 5 min.)`,
    );
  }
}

function checkToken(claim: Claim, identity: Identity): void {
  if ((claim.token ?? undefined) !== identity.credentials.sessionToken) {
    throw new SignatureFault(
      "token-invalid",
      "The security token included in the request is invalid.",
    );
  }
}

/** A declared payload hash takes part in the signature, so it must be the truth. */
function checkBody(request: SignedRequest): void {
  const declared = request.header("x-amz-content-sha256");
  if (!declared) return;
  const actual = createHash("sha256").update(request.body).digest("hex");
  if (declared === actual) return;
  throw new SignatureFault(
    "mismatch",
    "The provided 'x-amz-content-sha256' header does not match what was computed.",
  );
}

async function signatureOf(
  request: SignedRequest,
  claim: Claim,
  identity: Identity,
): Promise<string> {
  const headers: Record<string, string> = {};
  for (const name of claim.signedHeaders) headers[name] = request.header(name) ?? "";
  if (!("host" in headers)) {
    throw new SignatureFault(
      "incomplete",
      "'Host' must be a 'SignedHeader' in the AWS Authorization.",
    );
  }
  const query = parseQuery(request.query);
  for (const name of Object.keys(query)) {
    if (claim.expires !== undefined && name.startsWith("X-Amz-")) delete query[name];
  }
  const signer = await createSigner(claim, identity);
  const { method, path } = request;
  const again = { method, protocol: "https:", hostname: headers.host!, path, query, headers };
  const options = {
    signingDate: new Date(parseLongDate(claim.signedAt)!),
    signableHeaders: new Set(claim.signedHeaders),
  };
  if (claim.expires !== undefined) {
    const { query } = await signer.presign(again, { ...options, expiresIn: claim.expires });
    return String(query?.["X-Amz-Signature"] ?? "");
  }
  const signed = await signer.sign({ ...again, body: request.body }, options);
  return /Signature=(\w+)/.exec(signed.headers["authorization"] ?? "")?.[1] ?? "";
}

async function createSigner(claim: Claim, identity: Identity): Promise<SignatureV4> {
  const { SignatureV4 } = await import("@smithy/signature-v4");
  const { accessKeyId, secretAccessKey, sessionToken } = identity.credentials;
  return new SignatureV4({
    credentials: { accessKeyId, secretAccessKey, ...(sessionToken ? { sessionToken } : {}) },
    region: claim.region,
    service: claim.service,
    sha256: Sha256,
    applyChecksum: false,
  });
}

/** SHA-256 and its HMAC in the shape that the signer wants. */
class Sha256 {
  readonly #secret: string | ArrayBuffer | ArrayBufferView | undefined;
  #hash: Hash | Hmac;

  constructor(secret?: string | ArrayBuffer | ArrayBufferView) {
    this.#secret = secret;
    this.#hash = this.#create();
  }

  update(data: Uint8Array): void {
    this.#hash.update(data);
  }

  digest(): Promise<Uint8Array> {
    return Promise.resolve(new Uint8Array(this.#hash.digest()));
  }

  reset(): void {
    this.#hash = this.#create();
  }

  #create(): Hash | Hmac {
    if (this.#secret === undefined) return createHash("sha256");
    return createHmac("sha256", bytesOf(this.#secret));
  }
}

function bytesOf(data: string | ArrayBuffer | ArrayBufferView): Uint8Array {
  if (typeof data === "string") return new TextEncoder().encode(data);
  if (data instanceof ArrayBuffer) return new Uint8Array(data);
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

/** The parameters of a query; `+` means a space, as AWS's servers and Go's signer read it. */
function parseQuery(query: string): Record<string, string> {
  const parameters: Record<string, string> = {};
  for (const [name, value] of new URLSearchParams(query)) parameters[name] = value;
  return parameters;
}

/** `20250102T030405Z` in milliseconds since the Unix epoch. */
function parseLongDate(text: string): number | undefined {
  const match = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(text);
  if (!match) return undefined;
  const [year, month, day, hour, minute, second] = match.slice(1).map(Number);
  return Date.UTC(year!, month! - 1, day, hour, minute, second);
}

function longDate(ms: number): string {
  return new Date(ms).toISOString().replaceAll(/[-:]|\.\d+/g, "");
}

function sameText(a: string, b: string): boolean {
  const [left, right] = [bytesOf(a), bytesOf(b)];
  return left.byteLength === right.byteLength && timingSafeEqual(left, right);
}
