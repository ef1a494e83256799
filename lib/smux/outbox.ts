/**
 * Decides what goes onto the connection next, and packs it: several frames into one write.
 *
 * Control frames come first, so that bulk data never delays a window update or a new stream by more
 * than one batch. Data takes turns: one frame per stream and round.
 *
 * @module
 */

import {
  Command,
  HEADER_BYTES,
  putHeader,
  putUpdate,
  type SmuxVersion,
  UPDATE_BYTES,
} from "./frame.ts";
import type { StreamOutput } from "./output.ts";

/** Frames of the longest payload that a batch has room for. */
const BATCH_FRAMES = 4;

/** The most that the control frames of one stream can come to: SYN, UPD, NOP, FIN and one to spare. */
const CONTROL_BYTES = 5 * HEADER_BYTES + UPDATE_BYTES;

/** Options of {@linkcode Outbox}. */
export interface OutboxOptions {
  readonly version: SmuxVersion;
  /** Longest PSH payload. */
  readonly maxFrameSize: number;
  /** Called when there is something to send. */
  readonly onWork: () => void;
}

/** Told when something was written, or the failure that prevented it. */
type Written = (error?: Error) => void;

/** The order of sending of a session. */
export class Outbox {
  /** Bytes that a batch must have room for. */
  readonly batchBytes: number;
  readonly #options: OutboxOptions;
  // Sets keep the order of insertion: taking the first and adding it again is a round of turns.
  readonly #control = new Set<StreamOutput>();
  readonly #data = new Set<StreamOutput>();
  #ping = false;
  #afterBatch: Written[] = [];
  #inBatch: Written[] = [];

  constructor(options: OutboxOptions) {
    this.#options = options;
    const frames = BATCH_FRAMES * (HEADER_BYTES + options.maxFrameSize);
    this.batchBytes = Math.max(frames, 4 * CONTROL_BYTES);
  }

  /** Streams whose control frames wait. */
  get controlWaiting(): number {
    return this.#control.size;
  }

  /** Queues the control frames of a stream. */
  addControl(output: StreamOutput): void {
    this.#control.add(output);
    this.#options.onWork();
  }

  /** Queues the data of a stream, behind all others. */
  addData(output: StreamOutput): void {
    this.#data.add(output);
    this.#options.onWork();
  }

  /** Takes a stream's data out of the queue. */
  withdraw(output: StreamOutput): void {
    this.#data.delete(output);
  }

  /** Queues a keep-alive. */
  addPing(): void {
    this.#ping = true;
    this.#options.onWork();
  }

  /** Calls back when everything that is packed or queued as control now was written. */
  afterBatch(callback: Written): void {
    this.#afterBatch.push(callback);
    this.#options.onWork();
  }

  /** The batch was written. */
  written(): void {
    const callbacks = this.#inBatch;
    this.#inBatch = [];
    for (const callback of callbacks) callback();
  }

  /** Nothing more will be written. */
  fail(error: Error): void {
    const callbacks = [...this.#inBatch, ...this.#afterBatch];
    this.#inBatch = [];
    this.#afterBatch = [];
    for (const callback of callbacks) callback(error);
  }

  /**
   * Packs frames.
   * @returns bytes packed, 0 when nothing waits
   */
  fill(batch: Uint8Array): number {
    let at = 0;
    if (this.#ping) {
      this.#ping = false;
      at = this.#put(batch, at, Command.Nop, 0);
    }
    for (;;) {
      at = this.#fillControl(batch, at);
      // No room for all of it, then none for data either: a stream must not send before its SYN.
      if (this.#control.size > 0) return at;
      const next = this.#fillData(batch, at);
      if (next === at) break;
      at = next;
    }
    this.#inBatch.push(...this.#afterBatch);
    this.#afterBatch = [];
    return at;
  }

  #fillControl(batch: Uint8Array, start: number): number {
    let at = start;
    for (const output of this.#control) {
      if (at + CONTROL_BYTES > batch.byteLength) break;
      this.#control.delete(output);
      const { commands, update } = output.takeControl();
      for (const command of commands) {
        at = this.#put(batch, at, command, output.id);
        if (command !== Command.Upd) continue;
        putUpdate(batch, at, update!);
        at += UPDATE_BYTES;
      }
    }
    return at;
  }

  /** Packs one frame of the stream whose turn it is. */
  #fillData(batch: Uint8Array, at: number): number {
    const room = Math.min(this.#options.maxFrameSize, batch.byteLength - at - HEADER_BYTES);
    if (room <= 0) return at;
    for (const output of this.#data) {
      this.#data.delete(output);
      const length = Math.min(output.sendable, room);
      if (length === 0) continue;
      const from = this.#put(batch, at, Command.Psh, output.id, length);
      output.pull(batch.subarray(from, from + length));
      output.offer();
      return from + length;
    }
    return at;
  }

  #put(batch: Uint8Array, at: number, command: Command, id: number, length?: number): number {
    const size = length ?? (command === Command.Upd ? UPDATE_BYTES : 0);
    putHeader(batch, at, this.#options.version, command, id, size);
    return at + HEADER_BYTES;
  }
}
