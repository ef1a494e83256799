/**
 * Who logs in by SSH: a key that is there, or one made for the occasion that EC2 Instance Connect lets
 * in.
 *
 * @module
 */

import { INSTANCE_CONNECT } from "../config/mod.ts";
import { AwsocksError, getLog, isAwsocksError } from "../core/mod.ts";
import type { SendSshPublicKeyRequest } from "../ec2/mod.ts";
import { createEphemeralIdentity, type Identity } from "../ssh/mod.ts";

const log = getLog("backend");

/** A way to log in, for one attempt. */
export interface Login {
  /**
   * The keys to offer. To be called right before they are: a pushed key is taken for a minute only.
   * @throws AwsocksError `aws-…`, `ssh-key-missing`
   */
  identities(instanceId: string, options: { signal: AbortSignal }): Promise<readonly Identity[]>;
  /** A failure to log in, with what this way has to say about it. */
  explain(error: unknown): unknown;
}

/** Options of {@linkcode Logins}. */
export interface LoginsOptions {
  /** Value of `ssh-key`. */
  readonly sshKey?: string | undefined;
  /** User on the instance. */
  readonly user: string;
  /** Finds the keys that are there. @throws AwsocksError `ssh-key-…` */
  readonly find: (options: { signal: AbortSignal }) => Promise<readonly Identity[]>;
  /** Lets a key in for a minute. */
  readonly push: (
    request: SendSshPublicKeyRequest,
    options: { signal: AbortSignal },
  ) => Promise<void>;
}

/** Finds ways to log in. */
export class Logins {
  readonly #options: LoginsOptions;
  #found: Promise<readonly Identity[]> | undefined;
  #told = false;

  constructor(options: LoginsOptions) {
    this.#options = options;
  }

  /** The way to log in now. Nothing is asked of AWS yet. @throws AwsocksError `ssh-key-…` */
  async prepare(signal: AbortSignal): Promise<Login> {
    if (this.#options.sshKey === INSTANCE_CONNECT) return this.#pushed();
    try {
      const keys = await this.#keys(signal);
      return { identities: () => Promise.resolve(keys), explain: (error) => error };
    } catch (error) {
      // A key that was named is the user's wish.
      if (this.#options.sshKey !== undefined || !isAwsocksError(error, "ssh-key-missing")) {
        throw error;
      }
      if (!this.#told) log.info("{reason}; using EC2 Instance Connect", { reason: error.message });
      this.#told = true;
      return this.#pushed(error);
    }
  }

  /** Why there is no key; undefined when there may be one, or none is needed. */
  async missing(signal: AbortSignal): Promise<AwsocksError | undefined> {
    if (this.#options.sshKey === INSTANCE_CONNECT) return undefined;
    try {
      await this.#keys(signal);
      return undefined;
    } catch (error) {
      return isAwsocksError(error, "ssh-key-missing") ? error : undefined;
    }
  }

  /** Keys turned out to be of no use: they are looked for again. */
  forget(): void {
    this.#found = undefined;
  }

  #keys(signal: AbortSignal): Promise<readonly Identity[]> {
    return this.#found ??= this.#options.find({ signal }).catch((error) => {
      this.#found = undefined; // a key that is put there meanwhile is found next time
      throw error;
    });
  }

  /** @param missing why there is no other key, where one was looked for */
  #pushed(missing?: AwsocksError): Login {
    const { user, push } = this.#options;
    return {
      async identities(instanceId, options) {
        const identity = createEphemeralIdentity("EC2 Instance Connect");
        try {
          await push({ instanceId, user, publicKey: identity.authorizedKey }, options);
        } catch (error) {
          throw missing && isRefusal(error) ? noWay(missing, error) : error;
        }
        log.debug("Key pushed to {instance}", { instance: instanceId, user });
        return [identity];
      },
      explain: (error) => isAwsocksError(error, "ssh-auth-failed") ? notTaken(error) : error,
    };
  }
}

/** Failures of the service that say that this way is closed, not that it is disturbed. */
export function isRefusal(error: unknown): error is AwsocksError {
  return isAwsocksError(error, "aws-access-denied", "aws-request-failed");
}

function noWay(missing: AwsocksError, cause: AwsocksError): AwsocksError {
  const message = `${missing.message}, and EC2 Instance Connect cannot be used`;
  return new AwsocksError("ssh-key-missing", message, {
    cause,
    hint: `${missing.hint}; or allow ec2-instance-connect:SendSSHPublicKey`,
  });
}

/** AWS takes a key also for an instance that never asks for it. */
function notTaken(cause: AwsocksError): AwsocksError {
  return new AwsocksError("ssh-auth-failed", cause.message, {
    cause: cause.cause,
    facts: cause.facts,
    hint:
      "check `ssh-user` and that the package ec2-instance-connect is installed on the instance; " +
      'or use a key, or `backend = "port"`',
  });
}
