/**
 * The host as the guest's rooms see it: there for a question, whichever tunnel leads to it now.
 *
 * @module
 */

import { AwsocksError, type Clock, withDeadline } from "../core/mod.ts";
import type { GuestTunnel, HostServices } from "../protocol/mod.ts";

/** Milliseconds that a question waits for a tunnel. */
const WAIT_MS = 10_000;

/** Holds the tunnel of the moment. */
export class HostLink {
  readonly #clock: Clock;
  #tunnel: GuestTunnel | undefined;
  #arrival = Promise.withResolvers<void>();
  /** Asks the host; a question without a tunnel waits a little for one. */
  readonly services: HostServices;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.services = {
      credentials: this.#asking("credentials"),
      identities: this.#asking("identities"),
      sign: this.#asking("sign"),
      hostKeyTypes: this.#asking("hostKeyTypes"),
      hostKey: this.#asking("hostKey"),
      chooseInstance: this.#asking("chooseInstance"),
    };
  }

  /** The tunnel there is now. */
  get tunnel(): GuestTunnel | undefined {
    return this.#tunnel;
  }

  /** A tunnel has come. */
  attach(tunnel: GuestTunnel): void {
    this.#tunnel = tunnel;
    this.#arrival.resolve();
  }

  /** The tunnel has gone. */
  detach(): void {
    this.#tunnel = undefined;
    this.#arrival = Promise.withResolvers();
  }

  #asking<K extends keyof HostServices>(name: K): HostServices[K] {
    const ask = async (params: never, options: { signal?: AbortSignal | undefined } = {}) => {
      const { host } = await this.#await(options.signal);
      return await host[name](params, options);
    };
    // Safe: what goes in and comes out is that of the service of the same name.
    return ask as HostServices[K];
  }

  async #await(signal: AbortSignal | undefined): Promise<GuestTunnel> {
    const seconds = WAIT_MS / 1000;
    while (!this.#tunnel) {
      await withDeadline(
        this.#clock,
        WAIT_MS,
        () => new AwsocksError("tunnel-closed", `The host has not been there for ${seconds} s`),
        () => this.#arrival.promise,
        signal,
      );
    }
    return this.#tunnel;
  }
}
