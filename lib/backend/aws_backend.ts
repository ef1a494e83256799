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

/** Options of {@linkcode createAwsBackend}. */
export interface AwsBackendOptions {
  readonly settings: Settings;
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
