/**
 * From the settings of a run to what the guest is told of them.
 *
 * @module
 */

import { INSTANCE_CONNECT } from "../config/mod.ts";
import { AwsocksError } from "../core/mod.ts";
import { CONFIG_VERSION, type GuestConfig, type GuestLogLevels } from "../protocol/mod.ts";
import type { AwsBackendSettings } from "./aws_backend.ts";

/** Variables that decide how AWS is reached; no other leaves the host. */
const PASSED_ON = /^((https?|all|no)_proxy|AWS_ENDPOINT_URL(_[A-Z0-9_]+)?)$/i;

/** Options of {@linkcode guestConfigOf}. */
export interface GuestConfigOptions {
  readonly settings: AwsBackendSettings;
  readonly region: string;
  /** Environment, as the guest is to see it where addresses differ. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Somebody can be asked which of several instances is meant. */
  readonly canChoose: boolean;
  readonly log?: GuestLogLevels | undefined;
}

/**
 * The configuration for the guest.
 * @throws AwsocksError `config-unreadable` for an `AWS_CA_BUNDLE` that cannot be read
 */
export async function guestConfigOf(options: GuestConfigOptions): Promise<GuestConfig> {
  const { settings, region, env, canChoose, log } = options;
  const { instanceId, name, sshKey, backend, maxSessions, payloadSize, instances } = settings;
  const caBundle = await readBundle(env.AWS_CA_BUNDLE);
  return {
    version: CONFIG_VERSION,
    region,
    ...(instanceId !== undefined && { instanceId }),
    ...(name !== undefined && { name }),
    sshUser: settings.sshUser,
    // Not its path: what the guest needs to know is that there is a wish.
    ...(sshKey !== undefined && { login: sshKey === INSTANCE_CONNECT ? INSTANCE_CONNECT : "key" }),
    ...(backend !== undefined && { backend }),
    ...(maxSessions !== undefined && { maxSessions }),
    ...(payloadSize !== undefined && { payloadSize }),
    ...(instances !== undefined && { instances }),
    remotePort: settings.remotePort,
    autoStart: settings.autoStart,
    autoStop: settings.autoStop,
    compression: settings.compression,
    connectTimeout: settings.connectTimeout,
    endpoints: settings.endpoints,
    env: Object.fromEntries(
      Object.entries(env).filter((entry): entry is [string, string] =>
        Boolean(entry[1]) && PASSED_ON.test(entry[0])
      ),
    ),
    ...(caBundle !== undefined && { caBundle }),
    canChoose,
    ...(log && { log }),
  };
}

async function readBundle(path: string | undefined): Promise<string | undefined> {
  if (!path) return undefined;
  try {
    return await Deno.readTextFile(path);
  } catch (cause) {
    throw new AwsocksError("config-unreadable", `Could not read AWS_CA_BUNDLE ${path}`, {
      cause,
      facts: { path },
    });
  }
}
