/**
 * The guest's end of the tunnel for as long as the guest lives: connects to the host, serves it, and
 * connects again when the tunnel is lost.
 *
 * @module
 */

import {
  Backoff,
  type Clock,
  type Conn,
  describeError,
  getLog,
  systemClock,
  type Timer,
} from "../core/mod.ts";
import { createGuestTunnel, type GuestConfig, type GuestTunnel } from "../protocol/mod.ts";
import type { CreateAwsSide } from "./aws_side.ts";
import type { GuestLog } from "./guest_log.ts";
import { HostLink } from "./host_link.ts";
import { GuestRuntime } from "./runtime.ts";

const log = getLog("guest");

/** Milliseconds without a host after which what is held at AWS is ended. */
const ORPHAN_MS = 60_000;

/** A tunnel that lived longer than this many milliseconds is replaced without a growing delay. */
const SETTLED_AFTER_MS = 10_000;

/** Milliseconds for the host to close the tunnel after a shutdown. */
const FAREWELL_MS = 1000;

/** Milliseconds by which the clock may be off. */
const CLOCK_TOLERANCE_MS = 1000;

/** Options of {@linkcode GuestAgent}. */
export interface GuestAgentOptions {
  /** Connects to the host, within a limit of its own. */
  readonly connect: (options: { signal: AbortSignal }) => Promise<Conn>;
  /** Folder of the guest's own, for files that libraries want as files. */
  readonly stateDir: string;
  /** Sets the machine's clock, in milliseconds since the Unix epoch; absent: the clock is not ours. */
  readonly setTime?: (now: number) => void;
  readonly log?: GuestLog;
  readonly createBackend?: CreateAwsSide;
  readonly clock?: Clock;
}

/** Serves the host. */
export class GuestAgent {
  readonly #options: GuestAgentOptions;
  readonly #clock: Clock;
  readonly #link: HostLink;
  readonly #runtime: GuestRuntime;
  readonly #shutdown = Promise.withResolvers<void>();
  #shuttingDown = false;
  #orphan: Timer | undefined;

  constructor(options: GuestAgentOptions) {
    const { clock = systemClock, stateDir, createBackend } = options;
    this.#options = options;
    this.#clock = clock;
    this.#link = new HostLink(clock);
    this.#runtime = new GuestRuntime({
      host: this.#link.services,
      stateDir,
      clock,
      onState: (state) => this.#link.tunnel?.report(state),
      onProgress: (text) => this.#link.tunnel?.progress(text),
      onConfig: (config) => this.#setLevels(config),
      ...(createBackend && { createBackend }),
    });
  }

  /**
   * Serves until the host has asked for the end or the signal aborts; then nothing is held at AWS any
   * more. Never rejects: what fails is logged and tried again.
   */
  async run({ signal }: { readonly signal: AbortSignal }): Promise<void> {
    const backoff = new Backoff({ initial: 200, max: 5000 });
    while (!signal.aborted && !this.#shuttingDown) {
      const since = this.#clock.monotonic();
      try {
        await this.#serveOnce(signal);
      } catch (error) {
        if (signal.aborted) break;
        const level = backoff.attempt === 0 ? "info" : "debug";
        log[level]("No tunnel to the host yet: {reason}", { reason: describeError(error) });
      }
      if (this.#shuttingDown) break;
      if (this.#clock.monotonic() - since >= SETTLED_AFTER_MS) backoff.reset();
      await this.#clock.sleep(backoff.next(), { signal }).catch(() => {});
    }
    this.#orphan?.cancel();
    await this.#runtime.release();
  }

  /** One tunnel, from its beginning to its end. */
  async #serveOnce(signal: AbortSignal): Promise<void> {
    const conn = await this.#options.connect({ signal });
    const tunnel = await createGuestTunnel(conn, {
      onConfigure: (config) => this.#runtime.configure(config),
      onCredentials: (credentials) => {
        this.#runtime.updateCredentials(credentials);
        return Promise.resolve();
      },
      onStart: (options) => this.#runtime.start(options),
      onShutdown: () => this.#goDown(),
      onTime: (now) => this.#checkTime(now),
      onDisruption: (cause) => this.#runtime.disrupted(cause),
      dial: (header, options) => this.#runtime.dial(header, options),
      clock: this.#clock,
      signal,
    });
    const onAbort = () => tunnel.close();
    signal.addEventListener("abort", onAbort, { once: true });
    if (signal.aborted) onAbort();
    this.#attach(tunnel);
    const over = new AbortController();
    const reason = await Promise.race([tunnel.closed, this.#farewell(over.signal)]);
    over.abort();
    this.#detach();
    tunnel.close();
    signal.removeEventListener("abort", onAbort);
    if (reason && !this.#shuttingDown) {
      log.warn("{reason}; connecting again", { reason: describeError(reason) });
    }
  }

  #attach(tunnel: GuestTunnel): void {
    this.#orphan?.cancel();
    this.#link.attach(tunnel);
    this.#options.log?.attach(tunnel);
    tunnel.report(this.#runtime.state);
    log.info("Connected to {host}", { host: tunnel.hello.program });
  }

  #detach(): void {
    this.#options.log?.detach();
    this.#link.detach();
    this.#orphan = this.#clock.after(ORPHAN_MS, () => {
      log.info("The host has not come back, ending what it has left");
      void this.#runtime.release();
    });
  }

  async #goDown(): Promise<void> {
    log.info("The host asks for the end");
    this.#shuttingDown = true;
    await this.#runtime.release();
    this.#shutdown.resolve();
  }

  /** The host closes the tunnel when it has the answer; one that does not is not waited for. */
  async #farewell(signal: AbortSignal): Promise<undefined> {
    await this.#shutdown.promise;
    await this.#clock.sleep(FAREWELL_MS, { signal }).catch(() => {});
  }

  #checkTime(now: number): void {
    const { setTime } = this.#options;
    const off = now - this.#clock.now();
    if (!setTime || Math.abs(off) <= CLOCK_TOLERANCE_MS) return;
    try {
      setTime(now);
      log.info("Clock set, it was off by {seconds} s", { seconds: -Math.round(off / 100) / 10 });
    } catch (error) {
      log.warn("The clock cannot be set: {reason}", { reason: describeError(error) });
    }
  }

  async #setLevels({ log: levels }: GuestConfig): Promise<void> {
    if (levels) await this.#options.log?.configure(levels);
  }
}
