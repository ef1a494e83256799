/**
 * A stream of a session.
 *
 * smux has one command to end a stream, FIN, and means different things by it:
 *
 * - **Half-close** (version 2 by default, and Go's smux from 1.5.55 on): FIN ends the sender's output.
 *   The stream is over when both ends have sent one.
 * - **Full close** (version 1 by default, and SSM agents): FIN ends the stream. What was sent before it
 *   can still be read; everything else is lost. So `closeWrite()` sends nothing, and the FIN goes out
 *   with `close()` or in answer to the peer's.
 *
 * With half-close, `close()` before both ends have come to their end is an abort, and the peer must
 * know: its writer would wait for ever for a window, and its reader would take a broken-off answer for
 * a whole one. smux has no frame for that. This room sends a NOP with the stream's id, which Go's smux
 * ignores as it does every NOP: before the FIN if the output was broken off, after it if only the
 * input is not wanted any more.
 *
 * @module
 */

import type { Conn } from "../core/mod.ts";
import { Command, type WindowUpdate } from "./frame.ts";
import { StreamInput } from "./input.ts";
import type { SmuxSettings } from "./options.ts";
import type { Outbox } from "./outbox.ts";
import { closed, StreamOutput } from "./output.ts";
import { ReceiveWindow, SendWindow, type WindowPool } from "./window.ts";

const { Fin, Nop } = Command;

/**
 * A stream as a Conn.
 *
 * - `closeWrite()`: see `halfClose` of the options for what it tells the peer
 * - `close()`: without `closeWrite()` before it, a peer that knows half-close gets an error after the
 *   bytes sent so far, not an end of input
 */
export interface SmuxStream extends Conn {
  /** Id on the wire. */
  readonly id: number;
  /** Bytes that wait for a reader on this side. */
  readonly buffered: number;
}

/** What a stream needs of its session. */
export interface StreamHost {
  readonly settings: SmuxSettings;
  readonly outbox: Outbox;
  readonly pool: WindowPool;
  /** The bytes that wait for a reader have changed by this number. */
  onBuffered(change: number): void;
  /** The stream is over: frames for its id are not its any more. */
  onOver(stream: Stream): void;
}

/** A stream, with the side that the session sees. */
export class Stream implements SmuxStream {
  readonly id: number;
  readonly #host: StreamHost;
  readonly #input: StreamInput;
  readonly #output: StreamOutput;
  #over = false;
  #closed = false;
  #closedByPeer = false;

  constructor(id: number, host: StreamHost) {
    const { version, maxStreamBuffer, counterStart } = host.settings;
    const v2 = version === 2;
    this.id = id;
    this.#host = host;
    this.#output = new StreamOutput(
      id,
      host.outbox,
      v2 ? new SendWindow(counterStart) : undefined,
    );
    this.#input = new StreamInput({
      window: v2 ? new ReceiveWindow(maxStreamBuffer, host.pool, counterStart) : undefined,
      onUpdate: (update) => this.#over || this.#output.sendUpdate(update),
      onBuffered: (change) => host.onBuffered(change),
    });
  }

  get buffered(): number {
    return this.#input.buffered;
  }

  read(into: Uint8Array): Promise<number | null> {
    return this.#input.read(into);
  }

  write(data: Uint8Array): Promise<number> {
    return this.#output.write(data);
  }

  async closeWrite(): Promise<void> {
    // After the peer's full close nobody is left to tell.
    if (this.#closed || this.#closedByPeer) return;
    await this.#output.end(this.#host.settings.halfClose);
    this.#settle();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#input.discard();
    if (this.#over) return;
    this.#leave();
    const { halfClose } = this.#host.settings;
    if (this.#output.cancelOpen()) this.#output.abort(closed());
    else if (!this.#output.ended) this.#output.abort(closed(), halfClose ? [Nop, Fin] : [Fin]);
    else this.#output.send(halfClose ? Nop : Fin);
  }

  /** Announces the stream to the peer; settles when the announcement is on its way. */
  announce(): Promise<void> {
    return this.#output.announce();
  }

  /**
   * PSH came.
   * @returns false if the peer has overrun its window
   */
  receive(bytes: Uint8Array): boolean {
    return this.#input.receive(bytes);
  }

  /**
   * UPD came.
   * @returns false if it claims what cannot be
   */
  update(update: WindowUpdate): boolean {
    if (this.#output.window?.update(update) === false) return false;
    this.#output.offer();
    return true;
  }

  /** FIN came. */
  finish(): void {
    if (this.#host.settings.halfClose) {
      this.#input.end();
      return this.#settle();
    }
    this.#closedByPeer = true;
    this.#leave();
    this.#input.end();
    // What the connection has not taken yet is still on its way, and the end of it no failure.
    if (this.#output.ended) return this.#output.send(Fin);
    this.#output.abort(new Deno.errors.BrokenPipe("The peer has closed the stream"), [Fin]);
  }

  /** The peer has aborted the stream. */
  reset(): void {
    this.fail(new Deno.errors.ConnectionReset("The peer has aborted the stream"));
  }

  /** The stream is lost. What came before can still be read. */
  fail(error: Error): void {
    this.#leave();
    this.#input.end(error);
    this.#output.abort(error);
  }

  /** Leaves the session when both directions have come to their end. */
  #settle(): void {
    if (this.#input.ended && this.#output.ended) this.#leave();
  }

  #leave(): void {
    if (this.#over) return;
    this.#over = true;
    this.#host.onOver(this);
  }
}
