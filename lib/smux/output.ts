/**
 * The sending half of a stream: writes that wait for their turn, the end, and control frames.
 *
 * Nothing is queued: a write waits with the caller's own buffer until the outbox takes its bytes, which
 * is the back-pressure and saves a copy.
 *
 * @module
 */

import { Command, type WindowUpdate } from "./frame.ts";
import type { Outbox } from "./outbox.ts";
import type { SendWindow } from "./window.ts";

interface PendingWrite {
  readonly data: Uint8Array;
  offset: number;
  readonly accepted: PromiseWithResolvers<number>;
}

/** What a stream has to send. */
export class StreamOutput {
  /** The stream's id. */
  readonly id: number;
  /** What the peer allows; undefined in version 1, which has no windows. */
  readonly window: SendWindow | undefined;
  readonly #outbox: Outbox;
  readonly #writes: PendingWrite[] = [];
  #size = 0;
  #state: "open" | "ending" | "ended" = "open";
  #withFin = false;
  #failure: unknown;
  readonly #flushed = Promise.withResolvers<void>();
  #announced: PromiseWithResolvers<void> | undefined;
  readonly #control: Command[] = [];
  #update: WindowUpdate | undefined;

  constructor(id: number, outbox: Outbox, window: SendWindow | undefined) {
    this.id = id;
    this.#outbox = outbox;
    this.window = window;
    // Whoever calls `end` learns of a failure; without a caller there is nobody to tell.
    this.#flushed.promise.catch(() => {});
  }

  /** True once the end of the output was sent, or the output was given up. */
  get ended(): boolean {
    return this.#state === "ended";
  }

  /** Bytes that may go into a frame now. */
  get sendable(): number {
    return this.window ? Math.min(this.#size, this.window.available) : this.#size;
  }

  /** Sends SYN; settles when it was packed. */
  announce(): Promise<void> {
    this.#announced = Promise.withResolvers<void>();
    this.send(Command.Syn);
    return this.#announced.promise;
  }

  /** Waits until all of `data` was taken by the outbox. */
  write(data: Uint8Array): Promise<number> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    if (this.#state !== "open") return Promise.reject(closed());
    if (data.byteLength === 0) return Promise.resolve(0);
    const accepted = Promise.withResolvers<number>();
    this.#writes.push({ data, offset: 0, accepted });
    this.#size += data.byteLength;
    this.offer();
    return accepted.promise;
  }

  /**
   * Ends the output after the writes that wait.
   * @param withFin send FIN then
   * @returns a promise that settles when everything up to the end was handed to the connection
   */
  end(withFin: boolean): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    if (this.#state === "open") {
      this.#state = "ending";
      this.#withFin = withFin;
      if (this.#size === 0) this.#endNow();
    }
    return this.#flushed.promise;
  }

  /**
   * Gives the output up: writes that wait fail, and so do later ones.
   * @param control frames that tell the peer
   */
  abort(error: unknown, control: readonly Command[] = []): void {
    this.#failure ??= error;
    this.#state = "ended";
    for (const { accepted } of this.#writes) accepted.reject(error);
    this.#writes.length = 0;
    this.#size = 0;
    this.#flushed.reject(error);
    this.#announced?.reject(error);
    this.#outbox.withdraw(this);
    this.send(...control);
  }

  /** Sends control frames, before any data that waits. */
  send(...commands: Command[]): void {
    if (commands.length === 0) return;
    this.#control.push(...commands);
    this.#outbox.addControl(this);
  }

  /** Sends a window update, in place of one that waits. */
  sendUpdate(update: WindowUpdate): void {
    const waiting = this.#update !== undefined;
    this.#update = update;
    if (!waiting) this.send(Command.Upd);
  }

  /** True if the stream was never announced to the peer; it is not any more. */
  cancelOpen(): boolean {
    if (this.#control[0] !== Command.Syn) return false;
    this.#control.length = 0;
    return true;
  }

  /** Takes the control frames that wait. */
  takeControl(): { commands: Command[]; update: WindowUpdate | undefined } {
    const taken = { commands: this.#control.splice(0), update: this.#update };
    this.#update = undefined;
    this.#announced?.resolve();
    return taken;
  }

  /** Moves bytes of the writes that wait into a frame, filling it; at most `sendable` bytes. */
  pull(into: Uint8Array): void {
    let filled = 0;
    let done = 0;
    while (filled < into.byteLength) {
      const write = this.#writes[done]!;
      const part = write.data.subarray(write.offset, write.offset + into.byteLength - filled);
      into.set(part, filled);
      filled += part.byteLength;
      write.offset += part.byteLength;
      if (write.offset === write.data.byteLength) {
        write.accepted.resolve(write.offset);
        done++;
      }
    }
    if (done > 0) this.#writes.splice(0, done);
    this.#size -= filled;
    this.window?.sent(filled);
    if (this.#size === 0 && this.#state === "ending") this.#endNow();
  }

  /** Enters the outbox if there is something that may be sent. */
  offer(): void {
    if (this.sendable > 0) this.#outbox.addData(this);
  }

  #endNow(): void {
    this.#state = "ended";
    if (this.#withFin) this.send(Command.Fin);
    this.#outbox.afterBatch((error) =>
      error ? this.#flushed.reject(error) : this.#flushed.resolve()
    );
  }
}

/** The error of a write to a stream that was closed on this side. */
export function closed(): Error {
  return new Deno.errors.BrokenPipe("The stream is closed");
}
