/**
 * Frames that have come and wait for their turn.
 *
 * @module
 */

import type { Frame } from "./frames.ts";

/** Bytes beyond which no more is read from the connection. */
const HIGH_WATER_BYTES = 256 * 1024;

/** What a frame costs beside its data, so that empty ones count too. */
const FRAME_COST_BYTES = 64;

/** A queue of frames with one consumer, which may look before it takes. */
export class Inbox {
  readonly #frames: Frame[] = [];
  #bytes = 0;
  #ended = false;
  #change = Promise.withResolvers<void>();

  /** The frame whose turn it is. */
  get first(): Frame | undefined {
    return this.#frames[0];
  }

  /** True while so much waits that the producer should. */
  get full(): boolean {
    return this.#bytes >= HIGH_WATER_BYTES;
  }

  /** True when nothing waits and nothing comes any more. */
  get exhausted(): boolean {
    return this.#ended && this.#frames.length === 0;
  }

  /** Resolves at the next change: a frame came or was taken, the end, or {@linkcode notify}. */
  get changed(): Promise<void> {
    return this.#change.promise;
  }

  /** Adds a frame, whose data is copied. No-op after the end. */
  push({ type, data }: Frame): void {
    if (this.#ended) return;
    this.#frames.push({ type, data: data.slice() });
    this.#bytes += cost(data);
    this.notify();
  }

  /** Takes the frame whose turn it is. */
  shift(): Frame | undefined {
    const frame = this.#frames.shift();
    if (!frame) return undefined;
    this.#bytes -= cost(frame.data);
    this.notify();
    return frame;
  }

  /** Nothing comes any more; what waits can still be taken. */
  end(): void {
    this.#ended = true;
    this.notify();
  }

  /** Nothing comes any more, and what waits is dropped. */
  abort(): void {
    this.#frames.length = 0;
    this.#bytes = 0;
    this.end();
  }

  /** Wakes whoever waits for a change. */
  notify(): void {
    this.#change.resolve();
    this.#change = Promise.withResolvers();
  }
}

function cost(data: Uint8Array): number {
  return data.byteLength + FRAME_COST_BYTES;
}
