/**
 * Puts the parts together: credentials of the AWS default chain, or given ones.
 *
 * @module
 */

import { type Clock, type Credentials, systemClock } from "../core/mod.ts";
import { awsPaths, type Surroundings, whereabouts } from "./environment.ts";
import type { Fetch } from "./fetch_handler.ts";
import { createLoader } from "./loader.ts";
import { type CredentialManager, RefreshingCredentials } from "./manager.ts";
import type { MfaCode } from "./sdk.ts";

/** Options of {@linkcode createCredentials}. */
export interface CredentialsOptions extends Surroundings {
  /** AWS profile; default `AWS_PROFILE`, then `AWS_DEFAULT_PROFILE`. */
  readonly profile?: string | undefined;
  /** Region of STS; default as {@linkcode resolveRegion} finds it. */
  readonly region?: string | undefined;
  /** Endpoint of STS; default `AWS_ENDPOINT_URL_STS`, `AWS_ENDPOINT_URL`, then that of the region. */
  readonly stsEndpoint?: string | undefined;
  /** Asks for an MFA code; without it a profile that needs one fails with `credentials-missing`. */
  readonly mfaCode?: MfaCode | undefined;
  /** Sends the requests to STS, IAM Identity Center and sign-in; default the global `fetch`. */
  readonly fetch?: Fetch | undefined;
  /** Default the real time. */
  readonly clock?: Clock | undefined;
  /** Milliseconds for each answer of a metadata service, instance or container; default 1000. */
  readonly metadataLimit?: number | undefined;
}

/** Credentials of the AWS default chain, kept valid. Nothing is read before they are asked for. */
export function createCredentials(options: CredentialsOptions = {}): CredentialManager {
  const { clock = systemClock, fetch = globalThis.fetch } = options;
  const where = whereabouts(options);
  const paths = awsPaths(where);
  return new RefreshingCredentials({
    prepare: createLoader({ ...options, where, clock, fetch }),
    clock,
    watch: [
      { path: paths.config },
      { path: paths.credentials },
      { path: paths.ssoCache, directory: true },
      { path: paths.loginCache, directory: true },
    ],
  });
}

/** Credentials that are what they are: for a sandbox, and for tests. */
export function fixedCredentials(credentials: Credentials): CredentialManager {
  return {
    source: (options) => {
      options?.signal?.throwIfAborted();
      return Promise.resolve(credentials);
    },
    onUpdate: () => ({ [Symbol.dispose]: () => {} }),
    refresh: () => Promise.resolve(credentials),
    start: () => Promise.resolve(),
    close: () => Promise.resolve(),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}
