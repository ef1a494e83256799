/**
 * Private keys in textual encoding (RFC 7468, and RFC 1421 for its headers): finds the block with the
 * private key among what else may be in the file.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { KeyError } from "./key_error.ts";

/** A block between BEGIN and END. */
export interface PemBlock {
  /** For example `OPENSSH PRIVATE KEY` or `RSA PRIVATE KEY`. */
  readonly label: string;
  /** Headers of old encrypted keys, names in lower case: `proc-type`, `dek-info`. */
  readonly headers: ReadonlyMap<string, string>;
  readonly body: Uint8Array;
}

const BLOCK = /-----BEGIN ([A-Z0-9 ]*PRIVATE KEY)-----\s*?\n([\s\S]*?)-----END \1-----/;

/** What people give by mistake, and what to do instead. */
const MISTAKES: readonly (readonly [RegExp, string])[] = [
  [
    /^PuTTY-User-Key-File-/,
    "is in PuTTY's format; convert it with `puttygen KEY.ppk -O private-openssh -o KEY`",
  ],
  [
    /^((ssh|ecdsa|sk-ssh|sk-ecdsa)-\S+ AAAA|---- BEGIN SSH2 PUBLIC KEY|-----BEGIN (RSA )?PUBLIC KEY)/m,
    "is a public key; the private one is in the file without `.pub`",
  ],
  [/-----BEGIN CERTIFICATE-----/, "is a certificate, not a private key"],
  [
    /---- BEGIN SSH2 ENCRYPTED PRIVATE KEY/,
    "is in ssh.com's format; convert it with `ssh-keygen -i`",
  ],
];

/**
 * The first private key in the text.
 * @throws KeyError `malformed`, with advice where the mistake is a common one
 */
export function parsePem(text: string): PemBlock {
  const match = BLOCK.exec(text.replaceAll("\r\n", "\n").replaceAll("\r", "\n"));
  if (!match) {
    const mistake = MISTAKES.find(([pattern]) => pattern.test(text));
    throw new KeyError("malformed", mistake?.[1] ?? "is not a private key");
  }
  const headers = new Map<string, string>();
  const body: string[] = [];
  for (const line of match[2]!.split("\n")) {
    const header = /^([A-Za-z-]+):\s*(.*)$/.exec(line);
    if (header) headers.set(header[1]!.toLowerCase(), header[2]!.trim());
    else body.push(line.trim());
  }
  const base64 = body.join("");
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(base64)) {
    throw new KeyError("malformed", "is damaged: its body is not base64");
  }
  return { label: match[1]!, headers, body: new Uint8Array(Buffer.from(base64, "base64")) };
}
