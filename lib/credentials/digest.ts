/**
 * Digests of text. Web Crypto, because loading `node:crypto` takes longer than all else that happens
 * before a listener is open.
 *
 * @module
 */

/** Digests in use. */
export type DigestAlgorithm = "SHA-1" | "SHA-256";

/** The digest of a text in UTF-8, in hexadecimal. */
export async function digest(algorithm: DigestAlgorithm, text: string): Promise<string> {
  const bytes = await crypto.subtle.digest(algorithm, new TextEncoder().encode(text));
  return new Uint8Array(bytes).toHex();
}
