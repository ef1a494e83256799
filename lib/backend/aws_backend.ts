/**
 * Puts the backends behind Session Manager together: credentials → instance → session → SSH, or port
 * forwarding. Nothing of AWS is loaded or touched before the first use.
 *
 * @module
 */

import type { AwsNetwork } from "../aws/mod.ts";
import {
  AwsocksError,
  type Clock,
  describeError,
  getLog,
  isAwsocksError,
  systemClock,
  type Target,
} from "../core/mod.ts";
import type { Settings } from "../config/mod.ts";
import type { CredentialManager } from "../credentials/mod.ts";
import { type Disruptions, DisruptionWatch } from "../ssm/disruptions.ts";
import type { HostKeyVerifier, Identity } from "../ssh/mod.ts";
import type { Backend } from "./backend.ts";
import type { Carrier, OpenCarrier } from "./carrier.ts";
import { ChosenBackend } from "./chosen_backend.ts";
import type { ChooseInstance } from "./instance.ts";
import { PortBackend } from "./port_backend.ts";
import type { PortSession } from "./port_session.ts";
import { SupervisedBackend } from "./supervisor.ts";

const log = getLog("backend");

/** What a backend asks the user; each may be absent, where there is nobody to ask. */
export interface BackendPrompts {
  readonly chooseInstance?: ChooseInstance;
  /** Passphrase of a private key; undefined when the user gives none. */
  readonly passphrase?: (path: string) => Promise<string | undefined>;
}

/** The settings that concern these backends. */
export type AwsBackendSettings =
  & Pick<
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
  >
  & {
    /** Default `ssh`. */
    readonly backend?: Settings["backend"];
    /** Default 1. */
    readonly maxSessions?: Settings["maxSessions"];
    /** Default 1024. */
    readonly payloadSize?: Settings["payloadSize"];
    /** Default `one`. */
    readonly instances?: Settings["instances"];
  };

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
  /** Tells when connections may have died unnoticed; default by the clocks and network interfaces. */
  readonly disruptions?: Disruptions;
  /** Called after each change of state or of the latest failure. Must not throw. */
  readonly onChange?: () => void;
  readonly clock?: Clock;
}

/** The backend that the settings ask for. */
export function createAwsBackend(options: AwsBackendOptions): Backend {
  const { clock = systemClock, settings, credentials } = options;
  const disruptions = options.disruptions ?? new DisruptionWatch({ clock });
  let parts: Promise<Parts> | undefined;
  const load = () =>
    parts ??= loadParts({ ...options, clock, disruptions }).catch((error) => {
      parts = undefined;
      throw error;
    });
  const common = {
    clock,
    connectTimeout: settings.connectTimeout * 1000,
    onChange: options.onChange,
    onClose: async () => await (await parts)?.close(),
  };
  /** @param first a carrier that is up already */
  const ssh = (first?: Carrier) =>
    new SupervisedBackend({
      name: "ssh",
      maxCarriers: settings.maxSessions ?? 1,
      // When an instance goes, a session on another one is there already.
      minCarriers: groupName(settings) === undefined ? 1 : 2,
      disruptions,
      open: async (openOptions) => {
        const ready = first;
        first = undefined;
        return ready ?? await (await load()).openCarrier(openOptions);
      },
      ...common,
    });
  const port = () =>
    new PortBackend({
      prepare: async (prepareOptions) => (await load()).prepare(prepareOptions),
      open: async (target, openOptions) => (await load()).openPort(target, openOptions),
      disruptions,
      ...common,
    });
  const choose = async (chooseOptions: { signal: AbortSignal }) => {
    const { carrier, hopeless } = await tryWithoutKey(await load(), settings, chooseOptions);
    log.info("Connections go by {backend}: {why}", {
      backend: hopeless ? "port forwarding" : "SSH",
      why: hopeless
        ? describeError(hopeless)
        : carrier
        ? "EC2 Instance Connect lets a key in"
        : "there is a key",
    });
    return hopeless ? port() : ssh(carrier);
  };
  const backend = {
    ssh: () => ssh(),
    port,
    auto: () => new ChosenBackend(choose, options.onChange),
  }[settings.backend ?? "ssh"]();
  credentials.onUpdate((updated) => backend.onCredentialUpdate(updated));
  return backend;
}

/** Failures to log in that say that SSH will not do, not that something is disturbed. */
const HOPELESS = [
  "aws-access-denied",
  "ssh-key-missing",
  "ssh-auth-failed",
  "ssh-handshake-failed",
] as const;

/**
 * Where there is no key, tries whether EC2 Instance Connect lets one in: whether sshd asks it, only a
 * login shows.
 * @returns the carrier, or why SSH is hopeless; neither when there is a key, or when it cannot be told
 */
async function tryWithoutKey(
  parts: Parts,
  { sshKey }: AwsBackendSettings,
  options: { signal: AbortSignal },
): Promise<{ carrier?: Carrier; hopeless?: Error }> {
  if (sshKey !== undefined || !await parts.missingKey(options)) return {};
  try {
    return { carrier: await parts.openCarrier(options) };
  } catch (error) {
    return isAwsocksError(error, ...HOPELESS) ? { hopeless: error } : {};
  }
}

async function loadParts(options: AwsBackendOptions & { clock: Clock }): Promise<Parts> {
  const region = checkRegion(options.region);
  const { createParts } = await import("./aws_parts.ts");
  return createParts({ ...options, region, network: await options.network() });
}

/** What is behind the backends once one was used. */
export interface Parts {
  /** SSH in a session. */
  readonly openCarrier: OpenCarrier;
  /** A session for connections to a destination. */
  openPort(target: Target, options: { signal: AbortSignal }): Promise<PortSession>;
  /** An instance that runs and whose agent is online, as far as AWS lets us know. */
  prepare(options: { signal: AbortSignal }): Promise<void>;
  /** Why there is no key to log in with; undefined when there may be one. */
  missingKey(options: { signal: AbortSignal }): Promise<Error | undefined>;
  close(): Promise<void>;
}

/** The Name tag, when sessions go to all of its instances. An id means one. */
export function groupName(
  { instances, instanceId, name }: Pick<AwsBackendSettings, "instances" | "instanceId" | "name">,
): string | undefined {
  return instances === "all" && instanceId === undefined ? name : undefined;
}

function checkRegion(region: string | undefined): string {
  if (region) return region;
  throw new AwsocksError("aws-region-invalid", "No AWS region is set");
}
