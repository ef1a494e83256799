/**
 * How long the program runs: until a signal, with a clean end of bounded length, which a second
 * signal cuts short.
 *
 * @module
 */

import type { Clock } from "../core/clock.ts";
import { ExitCode } from "../core/errors.ts";
import { getLog } from "../core/log.ts";

/** Milliseconds that the clean end may take. */
export const STOP_LIMIT = 5000;

/** Options of {@linkcode Lifetime}. */
export interface LifetimeOptions {
  readonly clock: Clock;
  /** Ends the process at once; must put the terminal back. */
  readonly exit: (code: number) => void;
  /** Called at the first signal. */
  readonly onStop?: (signal: string) => void;
}

/** Waits for the end of the program. */
export class Lifetime implements Disposable {
  readonly #options: LifetimeOptions;
  readonly #controller = new AbortController();
  readonly #listeners: [Deno.Signal, () => void][] = [];

  constructor(options: LifetimeOptions) {
    this.#options = options;
  }

  /** Aborted when the program shall end. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Ends at SIGINT and SIGTERM from now on. */
  listen(): void {
    const names: Deno.Signal[] = Deno.build.os === "windows"
      ? ["SIGINT", "SIGBREAK"]
      : ["SIGINT", "SIGTERM"];
    for (const name of names) {
      const listener = () => this.stop(name);
      Deno.addSignalListener(name, listener);
      this.#listeners.push([name, listener]);
    }
  }

  /** Asks for the end; asked for again it does not wait. */
  stop(signal: string): void {
    if (this.signal.aborted) return this.#options.exit(ExitCode.Interrupted);
    this.#options.onStop?.(signal);
    this.#controller.abort(new DOMException(`Stopped by ${signal}`, "AbortError"));
  }

  /** Resolves when the end was asked for. */
  async ended(): Promise<void> {
    if (this.signal.aborted) return;
    await new Promise<void>((resolve) =>
      this.signal.addEventListener("abort", () => resolve(), { once: true })
    );
  }

  /**
   * Closes what was opened, the latest first, within {@linkcode STOP_LIMIT} in all.
   * @returns false when the time ran out
   */
  async close(closers: readonly (() => Promise<void> | void)[]): Promise<boolean> {
    const all = (async () => {
      for (const close of closers.toReversed()) {
        // One that fails must not keep the others open.
        try {
          await close();
        } catch (error) {
          getLog("cli").debug("Closing failed", { error });
        }
      }
      return true;
    })();
    const limit = Promise.withResolvers<boolean>();
    const timer = this.#options.clock.after(STOP_LIMIT, () => limit.resolve(false));
    try {
      return await Promise.race([all, limit.promise]);
    } finally {
      timer.cancel();
    }
  }

  /** Takes the signal listeners away. */
  [Symbol.dispose](): void {
    for (const [name, listener] of this.#listeners.splice(0)) {
      Deno.removeSignalListener(name, listener);
    }
  }
}
