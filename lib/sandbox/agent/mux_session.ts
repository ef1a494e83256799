/**
 * A multiplexed port session: many connections to one destination.
 *
 * Streams are connected one after the other: while one is being connected, no other begins. There is no
 * word of success. A failure is a flag on the data channel, which names no stream, and then the end of
 * the stream.
 *
 * @module
 */

import { type Clock, type Conn, connPair, writeAll } from "../../core/mod.ts";
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
import { type ServerStream, SmuxServer } from "./smux_server.ts";

/** Bytes that the socket between the data channel and the multiplexer holds, as Linux has it. */
const SOCKET_BYTES = 212_992;
/** Bytes that are copied at a time. */
const COPY_BYTES = 32 * 1024;

/** Options of {@linkcode MuxPortSession}. */
export interface MuxPortSessionOptions {
  readonly clock: Clock;
  readonly switches: Pick<Switches, "pace" | "refuseFirst" | "unacknowledged">;
  readonly keepAlive: boolean;
  /** Looks the destination up. @throws Error with the text that ends the session */
  readonly check: () => void;
  /** Connects to the destination. */
  readonly dial: (signal: AbortSignal) => Promise<Conn>;
}

/** Mux mode. */
export class MuxPortSession implements SessionKind {
  readonly #options: MuxPortSessionOptions;
  readonly #stopped = new AbortController();
  readonly #conns = new Set<Conn>();
  #channel: Conn | undefined;
  #mux: SmuxServer | undefined;

  constructor(options: MuxPortSessionOptions) {
    this.#options = options;
  }

  async run(output: SessionOutput): Promise<SessionResult> {
    const { clock, switches, keepAlive, check } = this.#options;
    const { signal } = this.#stopped;
    try {
      check();
      if (switches.refuseFirst > 0) await clock.sleep(switches.refuseFirst, { signal });
      signal.throwIfAborted();
    } catch (error) {
      if (signal.aborted) return { succeeded: true, output: "" };
      return { succeeded: false, output: reasonOf(error) };
    }
    const [channel, far] = connPair(SOCKET_BYTES);
    this.#channel = channel;
    this.#mux = new SmuxServer(far, { clock, keepAlive });
    void this.#serve(this.#mux, output);
    try {
      await pumpOutput(channel, output, { clock, switches, signal });
    } catch {
      // Stopped.
    }
    return { succeeded: signal.aborted, output: "" };
  }

  handle(message: ClientMessage): boolean | Promise<boolean> {
    if (!this.#channel) return false;
    if (message.payloadType === PayloadType.Output) return this.#write(message.payload);
    if (message.payloadType === PayloadType.Flag && flagOf(message) === Flag.TerminateSession) {
      this.stop();
    }
    return true;
  }

  stop(): void {
    this.#stopped.abort();
    this.#mux?.close();
    this.#channel?.close();
    for (const conn of this.#conns) conn.close();
  }

  /** Waits while the socket is full: the whole session stands still. */
  async #write(payload: Uint8Array): Promise<boolean> {
    try {
      await writeAll(this.#channel!, payload);
      return true;
    } catch {
      return false;
    }
  }

  /** One stream after the other, however long each takes to connect. */
  async #serve(mux: SmuxServer, output: SessionOutput): Promise<void> {
    const { signal } = this.#stopped;
    for (let stream; (stream = await mux.accept());) {
      try {
        const conn = await this.#options.dial(signal);
        if (signal.aborted) return conn.close();
        this.#conns.add(conn);
        void this.#copy(stream, conn);
      } catch {
        if (signal.aborted) return;
        output.send(PayloadType.Flag, new Uint8Array([0, 0, 0, Flag.ConnectToPortError]));
        await stream.close();
      }
    }
  }

  /** Until either side ends, which ends both. */
  async #copy(stream: ServerStream, conn: Conn): Promise<void> {
    await Promise.all([
      fromStream(stream, conn).catch(() => {}).finally(() => conn.close()),
      toStream(conn, stream).catch(() => {}).finally(() => stream.close()),
    ]);
    this.#conns.delete(conn);
  }
}

async function fromStream(stream: ServerStream, conn: Conn): Promise<void> {
  for (let piece; (piece = await stream.read()) !== null;) {
    try {
      await writeAll(conn, piece);
    } finally {
      stream.release(piece.byteLength);
    }
  }
}

async function toStream(conn: Conn, stream: ServerStream): Promise<void> {
  const buffer = new Uint8Array(COPY_BYTES);
  for (let n; (n = await conn.read(buffer)) !== null;) {
    await stream.write(buffer.subarray(0, n));
  }
}
