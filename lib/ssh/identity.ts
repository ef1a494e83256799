/**
 * An identity: a key pair that can prove to a server who the user is.
 *
 * @module
 */

/** Options of {@linkcode Identity.sign}. */
export interface SignOptions {
  /** Hash of an RSA signature (RFC 8332; `sha1` is the old `ssh-rsa`); other keys imply theirs. */
  readonly hash?: "sha1" | "sha256" | "sha512" | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** A key pair whose private half may be elsewhere, or still encrypted. */
export interface Identity {
  /** Where the private half is. */
  readonly source: "file" | "agent" | "memory";
  /** Path of the key file, or the agent's comment of the key: for messages. */
  readonly label: string;
  /** Key type on the wire, for example `ssh-ed25519` or `ecdsa-sha2-nistp256`. */
  readonly keyType: string;
  /** Public half in wire format (RFC 4253 section 6.6). */
  readonly publicKey: Uint8Array;
  /** `SHA256:…` of the public half. */
  readonly fingerprint: string;
  /**
   * Signs; may ask the user (passphrase, touch, the agent's confirmation), so it may take long.
   * @returns the signature without its SSH header; for ECDSA either DER or the SSH encoding
   * @throws AwsocksError `ssh-key-passphrase`, `ssh-key-invalid`
   */
  sign(data: Uint8Array, options?: SignOptions): Promise<Uint8Array>;
}

/** `SHA256:… (path)`, for messages. */
export function describeIdentity(identity: Identity): string {
  const where = identity.source === "agent" ? `ssh-agent: ${identity.label}` : identity.label;
  return `${identity.fingerprint} (${where})`;
}
