/**
 * AWS credentials and what goes with them: loading from every source of the default chain, refreshing
 * before they expire and when files change; region and profile names from the shared files.
 *
 * The AWS SDK is loaded by the first request for credentials that needs it, never by this module.
 *
 * @module
 */

export { createCredentials, type CredentialsOptions, fixedCredentials } from "./create.ts";
export { type Environment, ENVIRONMENT_NAMES, type Surroundings } from "./environment.ts";
export type { Fetch } from "./fetch_handler.ts";
export type { CredentialListener, CredentialManager } from "./manager.ts";
export { type RegionOptions, resolveRegion } from "./region.ts";
export type { MfaCode } from "./sdk.ts";
export { listAwsProfiles } from "./shared_files.ts";
