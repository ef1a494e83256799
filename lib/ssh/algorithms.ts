/**
 * Which algorithms the client offers, best first.
 *
 * Only what is considered sound today and every server since OpenSSH 7.4 (Amazon Linux 2) has: no
 * SHA-1, no CBC, no DSA. And only what Deno can do: it has no ECDH over P-521, and its ChaCha20 keeps a
 * resource for every packet that ssh2 sends or receives.
 *
 * @module
 */

// @ts-types="@types/ssh2"
import type { Algorithms, CipherAlgorithm, ServerHostKeyAlgorithm } from "ssh2";

/** Options of {@linkcode chooseAlgorithms}. */
export interface AlgorithmOptions {
  /** Offer `zlib@openssh.com`. */
  readonly compression: boolean;
  /** Types of host keys that are known for the server, best first. */
  readonly knownHostKeyTypes?: readonly string[];
  /** Version of the Deno runtime; default the running one. */
  readonly denoVersion?: string;
}

const CTR_CIPHERS: readonly CipherAlgorithm[] = ["aes128-ctr", "aes192-ctr", "aes256-ctr"];

const HOST_KEY_ALGORITHMS: readonly ServerHostKeyAlgorithm[] = [
  "ssh-ed25519",
  "ecdsa-sha2-nistp256",
  "ecdsa-sha2-nistp384",
  "ecdsa-sha2-nistp521",
  "rsa-sha2-512",
  "rsa-sha2-256",
];

/** First Deno whose AES-GCM in `node:crypto` can do what ssh2 asks of it. */
const GCM_SINCE = [2, 8] as const;

function hasGcm(denoVersion: string): boolean {
  const [major = 0, minor = 0] = denoVersion.split(".").map(Number);
  return major > GCM_SINCE[0] || (major === GCM_SINCE[0] && minor >= GCM_SINCE[1]);
}

/** The key type with which a host key algorithm signs: RSA keys have several (RFC 8332). */
function keyTypeOfAlgorithm(algorithm: string): string {
  return algorithm.startsWith("rsa-sha2-") ? "ssh-rsa" : algorithm;
}

/** Host key algorithms with those of the known types first, in the order of the known types. */
export function hostKeyAlgorithms(knownTypes: readonly string[]): ServerHostKeyAlgorithm[] {
  const rank = (algorithm: string) => {
    const index = knownTypes.indexOf(keyTypeOfAlgorithm(algorithm));
    return index === -1 ? knownTypes.length : index;
  };
  return [...HOST_KEY_ALGORITHMS].sort((a, b) => rank(a) - rank(b));
}

/** The offer of the client. */
export function chooseAlgorithms(options: AlgorithmOptions): Required<Algorithms> {
  const { compression, knownHostKeyTypes = [], denoVersion = Deno.version.deno } = options;
  return {
    kex: [
      "curve25519-sha256",
      "curve25519-sha256@libssh.org",
      "ecdh-sha2-nistp256",
      "ecdh-sha2-nistp384",
      "diffie-hellman-group-exchange-sha256",
      "diffie-hellman-group14-sha256",
      "diffie-hellman-group16-sha512",
      "diffie-hellman-group18-sha512",
    ],
    serverHostKey: hostKeyAlgorithms(knownHostKeyTypes),
    // An older runtime would fail in the middle of the handshake with the others.
    cipher: hasGcm(denoVersion)
      ? ["aes128-gcm@openssh.com", "aes256-gcm@openssh.com", ...CTR_CIPHERS]
      : [...CTR_CIPHERS],
    hmac: [
      "hmac-sha2-256-etm@openssh.com",
      "hmac-sha2-512-etm@openssh.com",
      "hmac-sha2-256",
      "hmac-sha2-512",
    ],
    compress: compression ? ["zlib@openssh.com", "none"] : ["none"],
  };
}
