/**
 * Public key authentication (RFC 4252 section 7) with identities of any kind, as an agent of ssh2:
 * ssh2 asks the server about each public key, and asks for a signature only when the server would
 * take it. So a passphrase is only asked for a key that is of use.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import type { BaseAgent, ParsedKey } from "ssh2";
import { toAwsocksError } from "../core/mod.ts";
import type { Identity } from "./identity.ts";
import type { Ssh2 } from "./ssh2.ts";
import { sameBytes } from "./wire.ts";

/** What goes on while authenticating. */
export interface AuthEvents {
  /** The server would take this key: a signature is being made, which may wait for the user. */
  onSigning(identity: Identity): void;
  /** It was made, or not. */
  onSigned(identity: Identity, error?: Error): void;
}

/**
 * An agent that offers these identities in this order.
 * @param signal ends signing; nothing is called back after it
 */
export function identityAgent(
  ssh2: Ssh2,
  identities: readonly Identity[],
  events: AuthEvents,
  signal: AbortSignal,
): BaseAgent {
  const keys = identities.map((identity) => Buffer.from(identity.publicKey));

  class IdentityAgent extends ssh2.BaseAgent<Buffer | string | ParsedKey> {
    getIdentities(callback: (error: undefined, keys: Buffer[]) => void): void {
      callback(undefined, keys);
    }

    sign(
      key: Buffer | string | ParsedKey,
      data: Buffer,
      options: unknown,
      callback?: (error?: Error | null, signature?: Buffer) => void,
    ): void {
      const publicKey = (key as ParsedKey).getPublicSSH();
      const identity = identities.find((each) => sameBytes(each.publicKey, publicKey));
      if (!identity) return callback?.(new Error("Asked to sign with a key that was not offered"));
      const { hash } = options as { hash?: "sha1" | "sha256" | "sha512" };
      events.onSigning(identity);
      identity.sign(data, { hash, signal }).then(
        (signature) => {
          if (signal.aborted) return;
          events.onSigned(identity);
          callback?.(null, Buffer.from(signature));
        },
        (error) => {
          if (signal.aborted) return;
          const failure = toAwsocksError(error, "ssh-key-invalid");
          events.onSigned(identity, failure);
          callback?.(failure);
        },
      );
    }
  }

  return new IdentityAgent();
}
