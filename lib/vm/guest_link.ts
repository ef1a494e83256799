/**
 * A machine as the source of its guest's connections: started when one is wanted, and started anew when
 * it has crashed or its guest has fallen silent.
 *
 * @module
 */

import {
  AwsocksError,
  type Clock,
  type Conn,
  getLog,
  systemClock,
  type Timer,
} from "../core/mod.ts";
import type { VsockListener } from "../vsock/mod.ts";
import { consoleWords } from "./console_log.ts";
import type { Machine, MachineExit, MachineOptions } from "./machine.ts";

const log = getLog("vm");

/** Milliseconds that a guest whose kernel is up may be without a connection. */
export const SILENCE_MS = 60_000;

/** Milliseconds that a guest gets to switch itself off. */
const GRACE_MS = 1500;

/** Options of {@linkcode createGuestLink}. */
export interface GuestLinkOptions {
  readonly machine: Machine;
  /** Port of the host that the guest connects to. */
  readonly port: number;
  /** Milliseconds that a running guest may be without a connection; default {@linkcode SILENCE_MS}. */
  readonly silence?: number;
  readonly clock?: Clock;
}

/** Connections of a machine's guest. */
export interface GuestLink {
  /**
   * The guest's next connection; starts the machine if it does not run. One call at a time.
   * @throws AwsocksError `vm-failed` with the end of the console when the machine does not come up, ends,
   * or its guest does not connect in time; `vm-unavailable`, `listen-failed`; the reason of the signal
   */
  accept(options: { readonly signal: AbortSignal }): Promise<Conn>;
  /** Ends listening and, after giving it a moment to do so itself, the machine. Idempotent. */
  close(): Promise<void>;
}

/** Makes a link; nothing runs yet. The machine belongs to it from now on. */
export function createGuestLink(options: GuestLinkOptions): GuestLink {
  return new MachineLink(options);
}

class MachineLink implements GuestLink {
  readonly #machine: Machine;
  readonly #port: number;
  readonly #silence: number;
  readonly #clock: Clock;
  #listener: VsockListener | undefined;
  #connections = 0;
  #timer: Timer | undefined;
  /** Why the machine was stopped from here. */
  #verdict: string | undefined;
  #closed: Promise<void> | undefined;

  constructor({ machine, port, silence = SILENCE_MS, clock = systemClock }: GuestLinkOptions) {
    this.#machine = machine;
    this.#port = port;
    this.#silence = silence;
    this.#clock = clock;
  }

  async accept({ signal }: { readonly signal: AbortSignal }): Promise<Conn> {
    this.#listener ??= await this.#machine.listen(this.#port);
    const listener = this.#listener;
    if (this.#machine.state !== "running") await this.#start({ signal });
    const over = new AbortController();
    const ended = this.#machine.exited.then((exit) => {
      throw this.#failure(exit);
    });
    try {
      const wait = { signal: AbortSignal.any([signal, over.signal]) };
      return this.#counted(await Promise.race([listener.accept(wait), ended]));
    } finally {
      over.abort();
    }
  }

  close(): Promise<void> {
    return this.#closed ??= (async () => {
      this.#timer?.cancel();
      this.#listener?.close();
      await this.#machine.stop({ grace: GRACE_MS });
      await this.#machine.close();
    })();
  }

  async #start(options: MachineOptions): Promise<void> {
    this.#verdict = undefined;
    await this.#machine.start(options);
    this.#watch();
  }

  /** A guest without a connection is waited for, but not for ever. */
  #watch(): void {
    this.#timer?.cancel();
    if (this.#closed || this.#connections > 0 || this.#machine.state !== "running") return;
    this.#timer = this.#clock.after(this.#silence, () => {
      this.#verdict = `its guest has not connected within ${this.#silence / 1000} s`;
      log.warn("Stopping the machine: {reason}{words}", {
        reason: this.#verdict,
        words: consoleWords(this.#machine.console),
      });
      void this.#machine.stop();
    });
  }

  /** A connection whose end is noticed. */
  #counted(conn: Conn): Conn {
    this.#connections++;
    this.#timer?.cancel();
    let closed = false;
    return {
      read: (into) => conn.read(into),
      write: (data) => conn.write(data),
      closeWrite: () => conn.closeWrite(),
      close: () => {
        conn.close();
        if (closed) return;
        closed = true;
        this.#connections--;
        this.#watch();
      },
    };
  }

  #failure({ reason }: MachineExit): AwsocksError {
    const words = consoleWords(this.#machine.console);
    return new AwsocksError(
      "vm-failed",
      `The machine has ended: ${this.#verdict ?? reason}${words}`,
    );
  }
}
