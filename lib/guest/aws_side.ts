/**
 * The backend as direct mode has it, fed over the tunnel: credentials, keys, host keys and questions go
 * to the host, everything else happens here.
 *
 * @module
 */

import type { AwsNetwork } from "../aws/mod.ts";
import {
  type AwsBackendSettings,
  type Backend,
  type BackendPrompts,
  createAwsBackend,
} from "../backend/mod.ts";
import { AwsocksError, type Clock } from "../core/mod.ts";
import type { CredentialManager } from "../credentials/mod.ts";
import type { GuestConfig, HostServices } from "../protocol/mod.ts";
import type { Disruptions } from "../ssm/disruptions.ts";
import { remoteHostKeys, remoteIdentities } from "./remote_keys.ts";

/** What a backend of the guest is made with. */
export interface AwsSideOptions {
  readonly config: GuestConfig;
  readonly host: HostServices;
  readonly credentials: CredentialManager;
  /** The way out to AWS; called on first use. */
  readonly network: () => Promise<AwsNetwork>;
  /** Tells when connections may have died unnoticed. */
  readonly disruptions: Disruptions;
  readonly onChange: () => void;
  readonly onProgress: (text: string) => void;
  readonly clock: Clock;
}

/** Makes a backend; the guest's runtime closes it. */
export type CreateAwsSide = (options: AwsSideOptions) => Backend;

/** Makes the backend of a configuration; nothing is loaded or sent before its first use. */
export function createAwsSide(options: AwsSideOptions): Backend {
  const { config, host, credentials, disruptions, onChange, onProgress, clock } = options;
  return createAwsBackend({
    settings: settingsOf(config),
    region: config.region,
    credentials,
    network: options.network,
    prompts: config.canChoose ? { chooseInstance: chooserOf(host) } : {},
    identities: (findOptions) => remoteIdentities(host, findOptions),
    hostKeys: (server) => remoteHostKeys(host, server),
    env: config.env,
    disruptions,
    onChange,
    onProgress,
    clock,
  });
}

function settingsOf(config: GuestConfig): AwsBackendSettings {
  const { instanceId, name, login, backend, maxSessions, payloadSize, instances } = config;
  return {
    ...(instanceId !== undefined && { instanceId }),
    ...(name !== undefined && { name }),
    // No file of this machine: keys come from the host, or are made here for EC2 Instance Connect.
    ...(login !== undefined && { sshKey: login }),
    ...(backend !== undefined && { backend }),
    ...(maxSessions !== undefined && { maxSessions }),
    ...(payloadSize !== undefined && { payloadSize }),
    ...(instances !== undefined && { instances }),
    sshUser: config.sshUser,
    remotePort: config.remotePort,
    autoStart: config.autoStart,
    autoStop: config.autoStop,
    compression: config.compression,
    connectTimeout: config.connectTimeout,
    endpoints: config.endpoints,
  };
}

function chooserOf(host: HostServices): NonNullable<BackendPrompts["chooseInstance"]> {
  return async (instances, { signal }) => {
    const choices = instances.map(({ id, state, name, privateIp, availabilityZone }) => ({
      id,
      state,
      ...(name !== undefined && { name }),
      ...(privateIp !== undefined && { privateIp }),
      ...(availabilityZone !== undefined && { availabilityZone }),
    }));
    const chosen = await host.chooseInstance(choices, { signal });
    const instance = instances.find(({ id }) => id === chosen);
    if (instance) return instance;
    throw new AwsocksError(
      "tunnel-protocol-error",
      `The host has chosen ${chosen}, which was no choice`,
    );
  };
}
