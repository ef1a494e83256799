/**
 * Who may call the sandbox's API: access keys and what they stand for.
 *
 * @module
 */

import type { Clock, Credentials } from "../core/mod.ts";
import type { Random } from "./random.ts";

/** The account of the sandbox, the one that AWS's documentation uses. */
export const ACCOUNT_ID = "111122223333";

/** A known access key. */
export interface Identity {
  readonly credentials: Credentials;
  /** ARN of the user or assumed role. */
  readonly arn: string;
  /** `UserId` of GetCallerIdentity. */
  readonly userId: string;
  /** What session ids begin with. */
  readonly sessionPrefix: string;
}

const BASE32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const USER = "sandbox";

/** The access keys that the API knows. */
export class Identities {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #known = new Map<string, Identity>();
  #user: Identity;

  constructor(options: { clock: Clock; random: Random; credentials?: Credentials | undefined }) {
    this.#clock = options.clock;
    this.#random = options.random;
    this.#user = this.#remember(options.credentials ?? this.#longLived());
  }

  /** The user's own key. */
  get user(): Identity {
    return this.#user;
  }

  /** The identity behind an access key id, expired or not. */
  find(accessKeyId: string): Identity | undefined {
    return this.#known.get(accessKeyId);
  }

  /** Replaces the user's key; the old one and all that was derived from it are unknown from now on. */
  replaceUser(credentials: Credentials = this.#longLived()): Credentials {
    this.#known.clear();
    this.#user = this.#remember(credentials);
    return credentials;
  }

  /** Makes temporary credentials. @param lifetime in milliseconds */
  temporary(lifetime: number): Credentials & { readonly sessionToken: string } {
    return {
      accessKeyId: `ASIA${this.#random.letters(16, BASE32)}`,
      secretAccessKey: this.#random.letters(40, BASE64),
      sessionToken: `IQoJb3JpZ2luX2Vj${this.#random.letters(320, BASE64)}==`,
      expiration: this.#clock.now() + lifetime,
    };
  }

  /** Temporary credentials of a role, as AssumeRole hands them out. */
  assume(role: string, sessionName: string, lifetime: number): Identity {
    const credentials = this.temporary(lifetime);
    const identity: Identity = {
      credentials,
      arn: `arn:aws:sts::${ACCOUNT_ID}:assumed-role/${role}/${sessionName}`,
      userId: `AROA${this.#random.letters(17, BASE32)}:${sessionName}`,
      sessionPrefix: sessionName,
    };
    this.#known.set(credentials.accessKeyId, identity);
    return identity;
  }

  #longLived(): Credentials {
    return {
      accessKeyId: `AKIA${this.#random.letters(16, BASE32)}`,
      secretAccessKey: this.#random.letters(40, BASE64),
    };
  }

  #remember(credentials: Credentials): Identity {
    const identity: Identity = {
      credentials,
      arn: `arn:aws:iam::${ACCOUNT_ID}:user/${USER}`,
      userId: `AIDA${this.#random.letters(17, BASE32)}`,
      sessionPrefix: USER,
    };
    this.#known.set(credentials.accessKeyId, identity);
    return identity;
  }
}
