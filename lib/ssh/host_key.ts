/**
 * What a connection asks about the server's host key. `host_key_verifier.ts` answers from known
 * hosts files.
 *
 * @module
 */

/** A host key that a server has presented. */
export interface HostKey {
  /** Key type, for example `ssh-ed25519`. */
  readonly keyType: string;
  /** Wire format. */
  readonly publicKey: Uint8Array;
  /** `SHA256:…`. */
  readonly fingerprint: string;
}

/** Decides whether a host key is the server's. */
export interface HostKeyVerifier {
  /**
   * Types of the keys recorded for this server, best first; offered first in the key exchange, so that
   * a known server presents the key that is known, as OpenSSH does.
   */
  knownTypes(): Promise<readonly string[]>;
  /**
   * Resolves when the key may be the server's. The server has not proved yet that it owns the key.
   * @throws AwsocksError `ssh-host-key-changed`, `ssh-host-key-unknown`
   */
  verify(key: HostKey): Promise<void>;
  /**
   * Called with a verified key once the server has proved to own it; records a new one.
   * @throws AwsocksError `ssh-host-key-changed` when another key was recorded meanwhile
   */
  remember(key: HostKey): Promise<void>;
}
