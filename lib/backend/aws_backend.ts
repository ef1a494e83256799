/**
 * Puts the `ssh` backend together: credentials → instance → session → SSH. Nothing of AWS is loaded
 * or touched before the first use.
 *
 * @module
 */

import type { AwsNetwork } from "../aws/mod.ts";
import { AwsocksError, type Clock, systemClock } from "../core/mod.ts";
import type { Settings } from "../config/mod.ts";
import type { CredentialManager } from "../credentials/mod.ts";
import type { HostKeyVerifier, Identity } from "../ssh/mod.ts";
import type { Backend } from "./backend.ts";
import type { OpenCarrier } from "./carrier.ts";
import type { ChooseInstance } from "./instance.ts";
import { SupervisedBackend } from "./supervisor.ts";

/** What a backend asks the user; each may be absent, where there is nobody to ask. */
export interface BackendPrompts {
  readonly chooseInstance?: ChooseInstance;
  /** Passphrase of a private key; undefined when the user gives none. */
  readonly passphrase?: (path: string) => Promise<string | undefined>;
}

/** The settings that concern this backend. */
export type AwsBackendSettings = Pick<
  Settings,
  | "instanceId"
  | "name"
  | "sshUser"
  | "sshKey"
  | "sshKeyPassphrase"
  | "knownHosts"
  | "autoStart"
  | "autoStop"
  | "remotePort"
  | "compression"
  | "connectTimeout"
  | "endpoints"
>;

/** An sshd, as known hosts files name it. */
export interface SshServer {
  readonly instanceId: string;
  readonly port: number;
}

/** Options of {@linkcode createAwsBackend}. */
export interface AwsBackendOptions {
  readonly settings: AwsBackendSettings;
  /** AWS region, from the settings or wherever else the AWS tools find it. */
  readonly region: string | undefined;
  readonly credentials: CredentialManager;
  /** The way out to AWS; called on first use. Not closed by the backend. */
  readonly network: () => Promise<AwsNetwork>;
  readonly prompts?: BackendPrompts;
  /** Takes lines about what takes long, such as an instance that starts. */
  readonly onProgress?: (text: string) => void;
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Home directory; default the user's. */
  readonly home?: string;
  /** File that records host keys trusted on first use; default in the XDG state directory. */
  readonly trustedHostsFile?: string;
  /** Keys to log in with; default those that the settings, the ssh-agent and the home directory have. */
  readonly identities?: (options: { signal: AbortSignal }) => Promise<readonly Identity[]>;
  /** Who knows host keys; default known hosts files. */
  readonly hostKeys?: (server: SshServer) => HostKeyVerifier;
  /** Called after each change of state or of the latest failure. Must not throw. */
  readonly onChange?: () => void;
  readonly clock?: Clock;
}

/** A backend of SSH inside Session Manager. */
export function createAwsBackend(options: AwsBackendOptions): Backend {
  const { clock = systemClock, settings, credentials } = options;
  let parts: Promise<Parts> | undefined;
  const load = () =>
    parts ??= loadParts({ ...options, clock }).catch((error) => {
      parts = undefined;
      throw error;
    });
  const backend = new SupervisedBackend({
    name: "ssh",
    clock,
    connectTimeout: settings.connectTimeout * 1000,
    onChange: options.onChange,
    open: async (openOptions) => (await load()).open(openOptions),
    onClose: async () => await (await parts)?.close(),
  });
  credentials.onUpdate((updated) => backend.onCredentialUpdate(updated));
  return backend;
}

async function loadParts(options: AwsBackendOptions & { clock: Clock }): Promise<Parts> {
  const region = checkRegion(options.region);
  const { createParts } = await import("./aws_parts.ts");
  return createParts({ ...options, region, network: await options.network() });
}

/** What is behind the backend once it was used. */
export interface Parts {
  readonly open: OpenCarrier;
  close(): Promise<void>;
}

function checkRegion(region: string | undefined): string {
  if (region) return region;
  throw new AwsocksError("aws-region-invalid", "No AWS region is set");
}
