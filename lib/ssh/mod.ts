/**
 * SSH: a client over a Conn, keys and ssh-agent, known hosts.
 *
 * Nothing heavy is loaded with this module: `ssh2` comes with the first connection or key.
 *
 * @module
 */

export { connectSsh, type ConnectSshOptions } from "./client.ts";
export type { SshConnection } from "./connection.ts";
export { createEphemeralIdentity, type EphemeralIdentity } from "./ephemeral.ts";
export {
  type AskPassphrase,
  type FileIdentity,
  identityFromText,
  loadIdentity,
  type LoadIdentityOptions,
  type PassphraseOptions,
} from "./file_identity.ts";
export { findIdentities, type FindIdentitiesOptions } from "./find_identities.ts";
export type { HostKey, HostKeyVerifier } from "./host_key.ts";
export {
  createHostKeyVerifier,
  type HostKeyVerifierOptions,
  ownKnownHostsFile,
} from "./host_key_verifier.ts";
export { describeIdentity, type Identity, type SignOptions } from "./identity.ts";
export { agentIdentities, type AgentOptions } from "./agent.ts";
export { type LoadedSsh2, loadSsh2, type Ssh2 } from "./ssh2.ts";
export { releaseCiphers } from "./ssh2_internals.ts";
