/**
 * Which keys to try when the user has not named one: those of ssh-agent, then the usual files.
 *
 * @module
 */

import { AwsocksError, type Clock, getLog, isAwsocksError } from "../core/mod.ts";
import { agentIdentities } from "./agent.ts";
import { loadIdentity, type PassphraseOptions } from "./file_identity.ts";
import type { Identity } from "./identity.ts";
import { sameBytes } from "./wire.ts";

/** Options of {@linkcode findIdentities}. */
export interface FindIdentitiesOptions extends PassphraseOptions {
  /** The user's home directory; keys are looked for in its `.ssh`. */
  readonly home?: string | undefined;
  /** Path of the key to use: no other is tried. */
  readonly explicit?: string | undefined;
  /** SSH_AUTH_SOCK, if set. */
  readonly agentSocket?: string | undefined;
  readonly clock?: Clock;
}

/** Names in `~/.ssh`, best first. */
const DEFAULT_FILES = ["id_ed25519", "id_ecdsa", "id_rsa"] as const;

/**
 * The identities to try, in order.
 *
 * With an explicit key only that: from its file, or through the agent if the agent holds it and the
 * file is encrypted. Else the keys of the agent, those with a file in `~/.ssh` first, then the other
 * files; encrypted ones stay locked until a server wants them.
 *
 * @throws AwsocksError `ssh-key-missing` when there is none; for an explicit key those of
 *   {@linkcode loadIdentity}
 */
export async function findIdentities(options: FindIdentitiesOptions): Promise<Identity[]> {
  const agent = await listAgent(options);
  if (options.explicit !== undefined) {
    return [await explicitIdentity(options.explicit, options, agent)];
  }
  const files = await defaultFiles(options);
  const same = (a: Identity) => (b: Identity) => sameBytes(a.publicKey, b.publicKey);
  const identities = [
    ...agent.filter((key) => files.some(same(key))),
    ...agent.filter((key) => !files.some(same(key))),
    ...files.filter((file) => !agent.some(same(file))),
  ];
  if (identities.length > 0) return identities;
  const places = [
    options.agentSocket ? "no usable key in the ssh-agent" : "no ssh-agent (SSH_AUTH_SOCK)",
    options.home === undefined
      ? "no home directory"
      : `none of ${DEFAULT_FILES.join(", ")} in ${options.home}/.ssh`,
  ];
  throw new AwsocksError("ssh-key-missing", `No SSH key found: ${places.join(", ")}`);
}

/** An encrypted key that the agent holds open needs no passphrase. */
async function explicitIdentity(
  path: string,
  options: FindIdentitiesOptions,
  agent: readonly Identity[],
): Promise<Identity> {
  const identity = await loadIdentity(path, { ...options, lazy: true });
  if (!identity.locked) return identity;
  const held = agent.find((key) => sameBytes(key.publicKey, identity.publicKey));
  if (held && !options.passphrase) return held;
  await identity.open();
  return identity;
}

async function listAgent(options: FindIdentitiesOptions): Promise<Identity[]> {
  if (!options.agentSocket) return [];
  const log = getLog("ssh");
  try {
    return await agentIdentities(options.agentSocket, options, (keyType) => {
      log.debug("Skipping a key of the ssh-agent that is not supported", { keyType });
    });
  } catch (error) {
    options.signal?.throwIfAborted();
    log.debug("Going on without ssh-agent", { error });
    return [];
  }
}

async function defaultFiles(options: FindIdentitiesOptions): Promise<Identity[]> {
  const found: Identity[] = [];
  if (options.home === undefined) return found;
  for (const name of DEFAULT_FILES) {
    const path = `${options.home}/.ssh/${name}`;
    try {
      found.push(await loadIdentity(path, { ...options, lazy: true }));
    } catch (error) {
      options.signal?.throwIfAborted();
      if (!isAwsocksError(error, "ssh-key-missing")) {
        getLog("ssh").warn("Skipping an SSH key that cannot be used", { path, error });
      }
    }
  }
  return found;
}
