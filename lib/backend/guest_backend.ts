/**
 * The backend of VM mode: everything of AWS lives in a guest, and this end opens connections through it.
 *
 * The way to the guest is kept up as any carrier is. On top of it this backend shows how the guest's own
 * backend is, so that requests wait, take a detour or fail for the same reasons as in direct mode.
 *
 * @module
 */

import {
  type Clock,
  type Conn,
  type Credentials,
  describeError,
  getLog,
  systemClock,
  type Target,
} from "../core/mod.ts";
import type { CredentialManager } from "../credentials/mod.ts";
import {
  createHostTunnel,
  type GuestConfig,
  type GuestLogLevels,
  type GuestLogLine,
  type HostServices,
  type HostTunnel,
  type TunnelRoute,
} from "../protocol/mod.ts";
import { type Disruptions, DisruptionWatch } from "../ssm/disruptions.ts";
import type { AwsBackendSettings, BackendPrompts } from "./aws_backend.ts";
import type { Backend, BackendState, DialOptions } from "./backend.ts";
import type { Carrier } from "./carrier.ts";
import { guestConfigOf } from "./guest_config.ts";
import { GuestConnections } from "./guest_connections.ts";
import { createGuestServices } from "./guest_services.ts";
import { SupervisedBackend } from "./supervisor.ts";

const log = getLog("backend");

/** Milliseconds for a guest to start and connect, when not said otherwise. */
const READY_LIMIT_MS = 60_000;

/** Milliseconds that the guest gets for a destination, beyond its wait for a backend. */
const DIAL_LIMIT_MS = 60_000;

/** What {@linkcode GuestBackend} is made of. */
export interface GuestBackendParts {
  /** The guest's next connection; may start the machine first. See {@linkcode GuestConnections}. */
  readonly accept: (options: { signal: AbortSignal }) => Promise<Conn>;
  /** What the guest is told; made anew for each connection. */
  readonly config: () => Promise<GuestConfig>;
  /** What the guest may ask for. */
  readonly services: HostServices;
  /** Milliseconds that a dial waits for the guest, and in it for its backend. */
  readonly connectTimeout: number;
  /** Milliseconds for a guest to start and connect; default one minute. */
  readonly readyLimit?: number | undefined;
  /** Takes lines about what takes long. */
  readonly onProgress?: ((text: string) => void) | undefined;
  /** Tells when this machine has slept or its network has changed; default by clocks and interfaces. */
  readonly disruptions?: Disruptions | undefined;
  readonly clock?: Clock | undefined;
}

/** Options of {@linkcode createGuestBackend}. */
export interface GuestBackendOptions
  extends
    Pick<GuestBackendParts, "accept" | "readyLimit" | "onProgress" | "disruptions" | "clock"> {
  readonly settings: AwsBackendSettings;
  readonly region: string;
  readonly credentials: CredentialManager;
  readonly prompts?: BackendPrompts;
  /** Environment for the keys and known hosts of the host. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Environment and endpoints as the guest is to see them; default those of the host. */
  readonly guestEnv?: Readonly<Record<string, string | undefined>>;
  readonly guestEndpoints?: AwsBackendSettings["endpoints"];
  /** Home directory; default the user's. */
  readonly home?: string;
  /** File that records host keys trusted on first use; default in the XDG state directory. */
  readonly trustedHostsFile?: string;
  /** Levels of the guest's log; what comes is logged here as room `guest`. */
  readonly guestLog?: GuestLogLevels;
}

/** A backend whose AWS side is in a guest; `vmDirect` is the guest's own network. */
export function createGuestBackend(options: GuestBackendOptions): GuestBackend {
  const { clock = systemClock, settings, region, credentials, prompts = {} } = options;
  const env = options.env ?? Deno.env.toObject();
  const home = options.home ?? env.HOME ?? env.USERPROFILE ?? ".";
  const endpoints = options.guestEndpoints ?? settings.endpoints;
  const backend: GuestBackend = new GuestBackend({
    ...options,
    clock,
    config: () =>
      guestConfigOf({
        settings: { ...settings, endpoints },
        region,
        env: options.guestEnv ?? env,
        canChoose: prompts.chooseInstance !== undefined,
        log: options.guestLog,
      }),
    services: createGuestServices({
      settings,
      credentials,
      prompts,
      env,
      home,
      trustedHostsFile: options.trustedHostsFile,
      clock,
      onCredentials: (given) => backend.holdCredentials(given),
    }),
    connectTimeout: settings.connectTimeout * 1000,
  });
  credentials.onUpdate((updated) => backend.onCredentialUpdate(updated));
  return backend;
}

/** A tunnel as something that a backend keeps up. */
class TunnelCarrier implements Carrier {
  readonly tunnel: HostTunnel;
  readonly name: string;
  // There is one tunnel: nothing is chosen by its load or its pace.
  readonly channels = 0;
  readonly connected = true;
  readonly silence = 0;
  readonly bytes = 0;

  constructor(tunnel: HostTunnel) {
    this.tunnel = tunnel;
    this.name = tunnel.hello.program;
  }

  get closed(): Promise<Error | undefined> {
    return this.tunnel.closed;
  }

  dial(target: Target, options?: DialOptions): Promise<Conn> {
    return this.dialBy("proxy", target, options);
  }

  dialBy(route: TunnelRoute, { host, port }: Target, options?: DialOptions): Promise<Conn> {
    return this.tunnel.dial({ route, host, port }, options);
  }

  /** The guest ends what it holds at AWS; one that is gone has nothing to end. */
  close(): Promise<void> {
    return this.tunnel.shutdown();
  }
}

/** Dials through a guest's backend. */
export class GuestBackend implements Backend {
  readonly name = "vm";
  /** The guest's own network, for the route `vm-direct`: up as soon as the guest is. */
  readonly vmDirect: Backend;
  readonly #parts: GuestBackendParts;
  readonly #clock: Clock;
  readonly #disruptions: Disruptions;
  readonly #connections: GuestConnections;
  readonly #link: SupervisedBackend<TunnelCarrier>;
  #tunnel: HostTunnel | undefined;
  #everActive = false;
  /** The latest that the guest may have; a guest that starts anew gets them again. */
  #credentials: Credentials | undefined;

  constructor(parts: GuestBackendParts) {
    const { clock = systemClock, accept, readyLimit = READY_LIMIT_MS, connectTimeout } = parts;
    this.#parts = parts;
    this.#clock = clock;
    this.#disruptions = parts.disruptions ?? new DisruptionWatch({ clock });
    this.#connections = new GuestConnections({
      accept,
      open: (conn, options) => this.#open(conn, options.signal),
      readyLimit,
      clock,
    });
    this.#link = new SupervisedBackend({
      name: this.name,
      clock,
      connectTimeout,
      disruptions: this.#disruptions,
      open: async (options) => {
        this.#tunnel = await this.#connections.next(options);
        return new TunnelCarrier(this.#tunnel);
      },
      onClose: () => this.#connections.close(),
    });
    this.vmDirect = new VmDirectBackend(this.#link);
  }

  get state(): BackendState {
    const link = this.#link.state;
    if (link === "closed") return link;
    const guest = link === "active" ? this.#tunnel?.state.state : "initializing";
    if (guest === "active") this.#everActive = true;
    if (this.#everActive) return guest === "active" ? "active" : "transitioning";
    // The way to the guest may be up for vm-direct alone.
    return link === "idle" || guest === "idle" ? "idle" : "initializing";
  }

  get lastError(): Error | undefined {
    if (this.#link.state !== "active") return this.#link.lastError;
    return this.#tunnel?.state.error;
  }

  async start(options: DialOptions = {}): Promise<void> {
    await this.#link.start(options);
    await this.#link.use(({ tunnel }) => tunnel.start(options), options);
  }

  dial(target: Target, options: DialOptions = {}): Promise<Conn> {
    return this.#link.dial(target, options);
  }

  onCredentialUpdate(credentials: Credentials): void {
    this.holdCredentials(credentials);
    if (this.#link.state !== "active") return;
    this.#tunnel?.updateCredentials(credentials).catch((error) =>
      log.warn("The guest did not take new credentials: {reason}", { reason: describeError(error) })
    );
  }

  /** Keeps credentials for a guest that starts anew. */
  holdCredentials(credentials: Credentials): void {
    this.#credentials = credentials;
  }

  close(): Promise<void> {
    return this.#link.close();
  }

  /** Makes a connection of the guest ready: greeting, configuration, credentials. */
  async #open(conn: Conn, signal: AbortSignal): Promise<HostTunnel> {
    const { config, services, connectTimeout, onProgress } = this.#parts;
    const tunnel = await createHostTunnel(conn, {
      services,
      dialLimit: connectTimeout + DIAL_LIMIT_MS,
      onState: ({ state }) => {
        if (state === "active") this.#everActive = true;
      },
      onLog: logLine,
      ...(onProgress && { onProgress }),
      clock: this.#clock,
      signal,
    });
    const listener = this.#disruptions.on((cause) => tunnel.disrupted(cause));
    void tunnel.closed.then(() => listener[Symbol.dispose]());
    try {
      await tunnel.configure(await config(), { signal });
      const held = this.#heldCredentials();
      if (held) await tunnel.updateCredentials(held, { signal });
      return tunnel;
    } catch (error) {
      tunnel.close();
      throw error;
    }
  }

  #heldCredentials(): Credentials | undefined {
    const { expiration = Infinity } = this.#credentials ?? {};
    return expiration > this.#clock.now() ? this.#credentials : undefined;
  }
}

/** The guest's own network as a backend. */
class VmDirectBackend implements Backend {
  readonly name = "vm-direct";
  readonly #link: SupervisedBackend<TunnelCarrier>;

  constructor(link: SupervisedBackend<TunnelCarrier>) {
    this.#link = link;
  }

  get state(): BackendState {
    return this.#link.state;
  }

  get lastError(): Error | undefined {
    return this.#link.lastError;
  }

  start(options?: DialOptions): Promise<void> {
    return this.#link.start(options);
  }

  dial(target: Target, options: DialOptions = {}): Promise<Conn> {
    return this.#link.use((carrier) => carrier.dialBy("vm-direct", target, options), options);
  }

  /** Nothing here is signed. */
  onCredentialUpdate(): void {}

  close(): Promise<void> {
    return this.#link.close();
  }
}

/** A line of the guest's log in the log of the host. */
function logLine({ level, room, message, fields, dropped }: GuestLogLine): void {
  const guest = getLog("guest");
  if (dropped) guest.warn("{dropped} lines of the guest's log are lost", { dropped });
  guest.getChild(room)[level]("{message}", { ...fields, message });
}
