/**
 * What an agent does inside a session once the handshake is done. There is one kind today, the basic
 * port session: one TCP connection, of which the session is the extension.
 *
 * @module
 */

import { type Clock, type Conn, writeAll } from "../../core/mod.ts";
import { Flag, PayloadType } from "../../ssm/constants.ts";
import type { ClientMessage } from "../../ssm/message.ts";
import type { Switches } from "../options.ts";

/** How a session ended. */
export interface SessionResult {
  readonly succeeded: boolean;
  /** Text for `channel_closed`; often empty. */
  readonly output: string;
}

/** The output stream as a session kind sees it. */
export interface SessionOutput {
  send(payloadType: number, payload: Uint8Array): void;
  /** True while `pause_publication` holds. */
  readonly paused: boolean;
  /** Resolves when not paused and fewer than `limit` messages wait for acknowledgement. */
  ready(limit: number): Promise<void>;
}

/** A kind of session. */
export interface SessionKind {
  /** Runs until the session is over. */
  run(output: SessionOutput): Promise<SessionResult>;
  /**
   * Takes a message from the client in its turn. False while it cannot be taken yet, or not any more:
   * the agent then does not acknowledge it. A promise holds back everything behind it.
   */
  handle(message: ClientMessage): boolean | Promise<boolean>;
  /** Ends {@linkcode run}. Idempotent. */
  stop(): void;
}

/** Options of {@linkcode BasicPortSession}. */
export interface BasicPortSessionOptions {
  readonly clock: Clock;
  readonly switches: Pick<Switches, "pace" | "refuseFirst" | "unacknowledged">;
  /** Properties of the document; `portNumber` counts. */
  readonly properties: Readonly<Record<string, string>>;
  /** Connects to a port of the instance; fails with an error that says why in the words of Go. */
  readonly dial: (port: number, signal: AbortSignal) => Promise<Conn>;
}

/** Bytes of output in one message. */
const PAYLOAD_BYTES = 1024;
const PACE_MS = 1;

/** Basic mode for documents without a `type`: the session ends with its TCP connection. */
export class BasicPortSession implements SessionKind {
  readonly #options: BasicPortSessionOptions;
  readonly #stopped = new AbortController();
  #conn: Conn | undefined;
  #dialled: Conn | undefined;

  constructor(options: BasicPortSessionOptions) {
    this.#options = options;
  }

  async run(output: SessionOutput): Promise<SessionResult> {
    const { clock, dial, properties, switches } = this.#options;
    const signal = this.#stopped.signal;
    try {
      this.#dialled = await dial(Number(properties.portNumber), signal);
      signal.throwIfAborted();
      if (switches.refuseFirst > 0) await clock.sleep(switches.refuseFirst, { signal });
    } catch (error) {
      this.#dialled?.close();
      if (signal.aborted) return { succeeded: true, output: "" };
      const reason = error instanceof Error ? error.message : String(error);
      return { succeeded: false, output: `Unable to connect to specified port: ${reason}` };
    }
    this.#conn = this.#dialled;
    try {
      await (switches.pace ? this.#pumpPaced(output) : this.#pump(output));
      return { succeeded: true, output: "" };
    } catch {
      return { succeeded: signal.aborted, output: "" };
    }
  }

  handle(message: ClientMessage): boolean | Promise<boolean> {
    if (!this.#conn) return false;
    if (message.payloadType === PayloadType.Output) return this.#write(message.payload);
    if (message.payloadType === PayloadType.Flag) this.#flag(message.payload);
    return true;
  }

  stop(): void {
    this.#stopped.abort();
    this.#dialled?.close();
  }

  async #write(payload: Uint8Array): Promise<boolean> {
    try {
      await writeAll(this.#conn!, payload);
      return true;
    } catch {
      // The agent only logs this; the sender's repetitions will meet the same error.
      return false;
    }
  }

  #flag(payload: Uint8Array): void {
    if (payload.byteLength < 4) return;
    const flag = new DataView(payload.buffer, payload.byteOffset).getUint32(0);
    if (flag === Flag.DisconnectToPort) this.#conn?.close();
    if (flag === Flag.TerminateSession) this.stop();
  }

  /** The agent's own loop: at most 1024 bytes, one message, a sleep of a millisecond. */
  async #pumpPaced(output: SessionOutput): Promise<void> {
    const { clock } = this.#options;
    const signal = this.#stopped.signal;
    const packet = new Uint8Array(PAYLOAD_BYTES);
    for (;;) {
      if (!output.paused) {
        const n = await this.#conn!.read(packet);
        if (n === null) return;
        output.send(PayloadType.Output, packet.slice(0, n));
      }
      await clock.sleep(PACE_MS, { signal });
    }
  }

  /** The same messages without the sleep, held back by a bound on what is unacknowledged. */
  async #pump(output: SessionOutput): Promise<void> {
    const limit = this.#options.switches.unacknowledged;
    const buffer = new Uint8Array(limit * PAYLOAD_BYTES);
    for (;;) {
      await output.ready(limit);
      const n = await this.#conn!.read(buffer);
      if (n === null) return;
      for (let at = 0; at < n; at += PAYLOAD_BYTES) {
        await output.ready(limit);
        output.send(PayloadType.Output, buffer.slice(at, Math.min(n, at + PAYLOAD_BYTES)));
      }
    }
  }
}
