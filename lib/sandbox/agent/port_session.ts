/**
 * The basic port session: one TCP connection at a time.
 *
 * Without a `type` in its properties the session is the extension of its connection and ends with it.
 * With one, as clients get that know no multiplexing, it outlives it: the agent tells the client
 * nothing and connects again when the next bytes come.
 *
 * @module
 */

import { type Clock, type Conn, writeAll } from "../../core/mod.ts";
import { Flag, PayloadType } from "../../ssm/constants.ts";
import type { ClientMessage } from "../../ssm/message.ts";
import type { Switches } from "../options.ts";
import { pumpOutput } from "./output_pump.ts";
import {
  flagOf,
  reasonOf,
  type SessionKind,
  type SessionOutput,
  type SessionResult,
} from "./session_kind.ts";

/** Options of {@linkcode BasicPortSession}. */
export interface BasicPortSessionOptions {
  readonly clock: Clock;
  readonly switches: Pick<Switches, "pace" | "refuseFirst" | "unacknowledged">;
  /** Properties of the document; `portNumber` and `type` count. */
  readonly properties: Readonly<Record<string, string>>;
  /** Connects to a port of the destination; fails with an error that says why in the words of Go. */
  readonly dial: (port: number, signal: AbortSignal) => Promise<Conn>;
  /** Looks the destination up. @throws Error with the text that ends the session */
  readonly check?: () => void;
}

/** Basic mode. */
export class BasicPortSession implements SessionKind {
  readonly #options: BasicPortSessionOptions;
  readonly #stopped = new AbortController();
  #conn: Conn | undefined;
  #dialled: Conn | undefined;
  /** Set while the connection is gone and bytes from the client would bring another. */
  #redial: PromiseWithResolvers<boolean> | undefined;

  constructor(options: BasicPortSessionOptions) {
    this.#options = options;
  }

  async run(output: SessionOutput): Promise<SessionResult> {
    const { clock, switches } = this.#options;
    const { signal } = this.#stopped;
    try {
      this.#options.check?.();
    } catch (error) {
      return { succeeded: false, output: reasonOf(error) };
    }
    try {
      await this.#dial();
      if (switches.refuseFirst > 0) await clock.sleep(switches.refuseFirst, { signal });
    } catch (error) {
      this.#dialled?.close();
      if (signal.aborted) return { succeeded: true, output: "" };
      return {
        succeeded: false,
        output: `Unable to connect to specified port: ${reasonOf(error)}`,
      };
    }
    this.#conn = this.#dialled;
    return this.#options.properties.type === undefined
      ? await this.#pumpOnce(output)
      : await this.#pumpAgain(output);
  }

  handle(message: ClientMessage): boolean | Promise<boolean> {
    if (!this.#conn) return false;
    if (message.payloadType === PayloadType.Output) return this.#write(message.payload);
    if (message.payloadType !== PayloadType.Flag) return true;
    const flag = flagOf(message);
    if (flag === Flag.DisconnectToPort) this.#conn.close();
    if (flag === Flag.TerminateSession) this.stop();
    return true;
  }

  stop(): void {
    this.#stopped.abort();
    this.#dialled?.close();
    this.#redial?.resolve(false);
  }

  async #dial(): Promise<void> {
    const { dial, properties } = this.#options;
    this.#dialled = await dial(Number(properties.portNumber), this.#stopped.signal);
    this.#stopped.signal.throwIfAborted();
  }

  async #write(payload: Uint8Array): Promise<boolean> {
    try {
      if (this.#redial) await this.#dialAgain(this.#redial);
      await writeAll(this.#conn!, payload);
      return true;
    } catch {
      // The agent only logs this; the sender's repetitions will meet the same error.
      return false;
    }
  }

  async #dialAgain(redial: PromiseWithResolvers<boolean>): Promise<void> {
    try {
      await this.#dial();
    } catch (error) {
      redial.resolve(false);
      throw error;
    }
    this.#conn = this.#dialled;
    this.#redial = undefined;
    redial.resolve(true);
  }

  async #pumpOnce(output: SessionOutput): Promise<SessionResult> {
    try {
      await this.#pump(output);
      return { succeeded: true, output: "" };
    } catch {
      return { succeeded: this.#stopped.signal.aborted, output: "" };
    }
  }

  async #pumpAgain(output: SessionOutput): Promise<SessionResult> {
    const { signal } = this.#stopped;
    for (;;) {
      await this.#pump(output).catch(() => {});
      if (signal.aborted) return { succeeded: true, output: "" };
      this.#conn!.close();
      this.#redial = Promise.withResolvers<boolean>();
      if (await this.#redial.promise) continue;
      if (signal.aborted) return { succeeded: true, output: "" };
      // The agent closes the connection that it does not have, and dies of it.
      return { succeeded: false, output: "", crashed: true };
    }
  }

  #pump(output: SessionOutput): Promise<void> {
    const { clock, switches } = this.#options;
    return pumpOutput(this.#conn!, output, { clock, switches, signal: this.#stopped.signal });
  }
}
