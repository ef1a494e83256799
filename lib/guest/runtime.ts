/**
 * What the guest runs for its host: the backend as configured, and the guest's own network.
 *
 * @module
 */

import { type Backend, DirectBackend } from "../backend/mod.ts";
import {
  AwsocksError,
  type Clock,
  type Conn,
  type Credentials,
  describeError,
  getLog,
  toAwsocksError,
} from "../core/mod.ts";
import type { GuestConfig, GuestState, HostServices, StreamHeader } from "../protocol/mod.ts";
import { ToldDisruptions } from "../ssm/disruptions.ts";
import { type CreateAwsSide, createAwsSide } from "./aws_side.ts";
import { TunnelCredentials } from "./credentials.ts";
import { WayOut } from "./way_out.ts";

const log = getLog("guest");

/** Options of {@linkcode GuestRuntime}. */
export interface GuestRuntimeOptions {
  readonly host: HostServices;
  /** Folder of the guest's own. */
  readonly stateDir: string;
  readonly clock: Clock;
  /** Called when the state of the backend or its latest failure has changed. */
  readonly onState: (state: GuestState) => void;
  readonly onProgress: (text: string) => void;
  /** Called with a configuration before it is applied. */
  readonly onConfig?: (config: GuestConfig) => Promise<void>;
  /** Makes the backend; default that of direct mode. */
  readonly createBackend?: CreateAwsSide;
}

/** A configuration that is applied. */
interface Applied {
  readonly text: string;
  readonly backend: Backend;
  readonly credentials: TunnelCredentials;
  readonly wayOut: WayOut;
}

/** Runs the backend. It outlives tunnels: a host that comes again finds it as it was. */
export class GuestRuntime {
  readonly #options: GuestRuntimeOptions;
  readonly #direct: Backend;
  /** Of the host: a guest's clocks stand still while the host sleeps, and its network is always the same. */
  readonly #disruptions = new ToldDisruptions();
  #applied: Applied | undefined;
  /** One change at a time. */
  #changing: Promise<unknown> = Promise.resolve();
  #latest: Credentials | undefined;

  constructor(options: GuestRuntimeOptions) {
    this.#options = options;
    this.#direct = new DirectBackend({ clock: options.clock });
  }

  /** How the backend is. */
  get state(): GuestState {
    const { state = "idle", lastError } = this.#applied?.backend ?? {};
    return { state, ...(lastError && { error: toAwsocksError(lastError) }) };
  }

  /** Applies a configuration. A backend that runs as it says goes on; another one is replaced. */
  configure(config: GuestConfig): Promise<void> {
    return this.#change(async () => {
      const text = JSON.stringify(config);
      if (this.#applied?.text === text) return;
      await this.#options.onConfig?.(config);
      await this.#drop();
      this.#applied = this.#apply(config, text);
      log.info("Configured for {instance}", {
        instance: config.instanceId ?? config.name,
        region: config.region,
      });
    });
  }

  /** Takes credentials that the host has pushed. */
  updateCredentials(credentials: Credentials): void {
    this.#latest = credentials;
    this.#applied?.credentials.update(credentials);
  }

  /** The host has slept or its network has changed: what is connected is looked after. */
  disrupted(cause: string): void {
    log.debug("{cause}, says the host", { cause });
    this.#disruptions.tell(cause);
  }

  /** Brings the backend up. @throws AwsocksError as `Backend.start` does */
  async start(options: { readonly signal: AbortSignal }): Promise<void> {
    await this.#backend().start(options);
  }

  /** Opens a connection. @throws AwsocksError as `Backend.dial` does */
  async dial(
    { route, host, port }: StreamHeader,
    options: { readonly signal: AbortSignal },
  ): Promise<Conn> {
    const backend = route === "vm-direct" ? this.#direct : this.#backend();
    return await backend.dial({ host, port }, options);
  }

  /** Ends the backend and what it holds at AWS, and forgets its configuration and credentials. */
  release(): Promise<void> {
    this.#latest = undefined;
    return this.#change(() => this.#drop());
  }

  #backend(): Backend {
    if (this.#applied) return this.#applied.backend;
    throw new AwsocksError("backend-unavailable", "The guest has not been configured yet");
  }

  #apply(config: GuestConfig, text: string): Applied {
    const { host, stateDir, clock, onState, onProgress } = this.#options;
    const { createBackend = createAwsSide } = this.#options;
    const credentials = new TunnelCredentials(host, clock);
    if (this.#latest) credentials.update(this.#latest);
    const wayOut = new WayOut(config, stateDir);
    const backend = createBackend({
      config,
      host,
      credentials,
      network: wayOut.network,
      disruptions: this.#disruptions,
      clock,
      onChange: () => {
        if (this.#applied?.backend === backend) onState(this.state);
      },
      onProgress,
    });
    return { text, backend, credentials, wayOut };
  }

  async #drop(): Promise<void> {
    const applied = this.#applied;
    this.#applied = undefined;
    if (!applied) return;
    try {
      await applied.backend.close();
    } catch (error) {
      log.warn("Closing the backend failed: {reason}", { reason: describeError(error) });
    }
    await applied.credentials.close();
    await applied.wayOut.close();
  }

  #change(work: () => Promise<void>): Promise<void> {
    const change = this.#changing.then(work);
    this.#changing = change.catch(() => {});
    return change;
  }
}
