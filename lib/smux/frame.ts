/**
 * The wire format of smux: an 8-byte header, then up to 65,535 bytes, all integers little-endian.
 *
 * | offset | size | field |
 * | ---: | ---: | --- |
 * | 0 | 1 | version, 1 or 2 |
 * | 1 | 1 | command |
 * | 2 | 2 | payload length |
 * | 4 | 4 | stream id |
 *
 * A pure codec: it knows frames, not streams. Source: github.com/xtaci/smux, frame.go.
 *
 * @module
 */

import { AwsocksError } from "../core/mod.ts";

/** Protocol version; both ends must be told the same, it is not negotiated. */
export type SmuxVersion = 1 | 2;

/** Bytes of a frame header. */
export const HEADER_BYTES = 8;

/** Bytes of the payload of an UPD frame. */
export const UPDATE_BYTES = 8;

/** Longest payload of a PSH frame. */
export const MAX_PAYLOAD_BYTES = 0xffff;

/** Frame commands. */
export const Command = {
  /** Opens a stream; no payload. */
  Syn: 0,
  /** Ends the sender's output on a stream, or the stream; no payload. */
  Fin: 1,
  /** Carries bytes of a stream. */
  Psh: 2,
  /** Does nothing; no payload. With a stream id it says that the stream was aborted, see `stream.ts`. */
  Nop: 3,
  /** Tells what the receiver has consumed and its window; version 2 only. */
  Upd: 4,
} as const;

/** A frame command, 0 to 4. */
export type Command = typeof Command[keyof typeof Command];

/** A frame. */
export interface Frame {
  /** What it is for. */
  readonly command: Command;
  /** 0 to 2³² − 1; 0 names no stream. */
  readonly streamId: number;
  /** As yielded by {@linkcode FrameParser}, a view of the parsed chunk. */
  readonly payload: Uint8Array;
}

/** Payload of an UPD frame. */
export interface WindowUpdate {
  /** Bytes of the stream that the receiver has consumed since it was opened, modulo 2³². */
  readonly consumed: number;
  /** Bytes beyond `consumed` that may be sent. */
  readonly window: number;
}

/** Writes a frame header into 8 bytes at `offset`. */
export function putHeader(
  into: Uint8Array,
  offset: number,
  version: SmuxVersion,
  command: Command,
  streamId: number,
  length: number,
): void {
  into[offset] = version;
  into[offset + 1] = command;
  into[offset + 2] = length;
  into[offset + 3] = length >>> 8;
  putUint32(into, offset + 4, streamId);
}

/** Writes the payload of an UPD frame into 8 bytes at `offset`; counters are taken modulo 2³². */
export function putUpdate(into: Uint8Array, offset: number, update: WindowUpdate): void {
  putUint32(into, offset, update.consumed);
  putUint32(into, offset + 4, update.window);
}

/** Reads the payload of an UPD frame. */
export function readUpdate(payload: Uint8Array): WindowUpdate {
  return { consumed: uint32(payload, 0), window: uint32(payload, 4) };
}

/**
 * One frame as bytes.
 * @throws RangeError for a payload above {@linkcode MAX_PAYLOAD_BYTES}
 */
export function encodeFrame(
  version: SmuxVersion,
  command: Command,
  streamId: number,
  payload: Uint8Array = EMPTY,
): Uint8Array {
  if (payload.byteLength > MAX_PAYLOAD_BYTES) {
    throw new RangeError(`A frame carries at most ${MAX_PAYLOAD_BYTES} bytes`);
  }
  const bytes = new Uint8Array(HEADER_BYTES + payload.byteLength);
  putHeader(bytes, 0, version, command, streamId, payload.byteLength);
  bytes.set(payload, HEADER_BYTES);
  return bytes;
}

/**
 * Cuts a byte stream into frames, however it arrives.
 *
 * A PSH frame that does not end in the chunk is yielded in parts, each a PSH frame of its own, which
 * means the same. So nothing is held back but a partial header, and nobody can make it hold more.
 */
export class FrameParser {
  readonly #version: SmuxVersion;
  /** Header that the chunks so far have cut, with the payload of an UPD. */
  readonly #partial = new Uint8Array(HEADER_BYTES + UPDATE_BYTES);
  #held = 0;
  /** Bytes of the current PSH payload that are still to come. */
  #left = 0;
  #streamId = 0;

  /** @param version that every frame must have */
  constructor(version: SmuxVersion) {
    this.#version = version;
  }

  /** True between frames: an end of input here cuts nothing off. */
  get idle(): boolean {
    return this.#held === 0 && this.#left === 0;
  }

  /**
   * Yields the frames of the next chunk; must be run to its end before the next one.
   * @throws AwsocksError `smux-protocol-error` at the first frame that is none; the parser is
   * unusable afterwards
   */
  *push(chunk: Uint8Array): Generator<Frame, void, void> {
    let at = 0;
    while (at < chunk.byteLength) {
      if (this.#left > 0) {
        const payload = chunk.subarray(at, at + this.#left);
        at += payload.byteLength;
        this.#left -= payload.byteLength;
        yield { command: Command.Psh, streamId: this.#streamId, payload };
        continue;
      }
      at += this.#hold(chunk, at, HEADER_BYTES);
      if (this.#held < HEADER_BYTES) return;
      const command = this.#command();
      const streamId = uint32(this.#partial, 4);
      if (command === Command.Psh) {
        this.#held = 0;
        this.#streamId = streamId;
        this.#left = this.#partial[2]! | this.#partial[3]! << 8;
        continue;
      }
      if (command === Command.Upd) {
        at += this.#hold(chunk, at, HEADER_BYTES + UPDATE_BYTES);
        if (this.#held < HEADER_BYTES + UPDATE_BYTES) return;
      }
      const payload = this.#held > HEADER_BYTES ? this.#partial.slice(HEADER_BYTES) : EMPTY;
      this.#held = 0;
      yield { command, streamId, payload };
    }
  }

  /** Moves bytes into the partial header until it has `size`; returns how many. */
  #hold(chunk: Uint8Array, at: number, size: number): number {
    const n = Math.min(Math.max(0, size - this.#held), chunk.byteLength - at);
    // Copied by hand: for a few bytes this is faster than a view and `set`.
    for (let i = 0; i < n; i++) this.#partial[this.#held + i] = chunk[at + i]!;
    this.#held += n;
    return n;
  }

  /** Checks the header that is complete and returns its command. */
  #command(): Command {
    const [version, command, low, high] = this.#partial;
    const length = low! | high! << 8;
    if (version !== this.#version) {
      throw malformed(`version ${version} instead of ${this.#version}`, { version });
    }
    switch (command) {
      case Command.Psh:
        return command;
      case Command.Syn:
      case Command.Fin:
      case Command.Nop:
        if (length !== 0) throw malformed(`command ${command} with a payload`, { command, length });
        return command;
      case Command.Upd:
        if (length !== UPDATE_BYTES) {
          throw malformed(`a window update of ${length} bytes`, { command, length });
        }
        return command;
      default:
        throw malformed(`unknown command ${command}`, { command });
    }
  }
}

const EMPTY = new Uint8Array(0);

function putUint32(into: Uint8Array, offset: number, value: number): void {
  into[offset] = value;
  into[offset + 1] = value >>> 8;
  into[offset + 2] = value >>> 16;
  into[offset + 3] = value >>> 24;
}

function uint32(bytes: Uint8Array, offset: number): number {
  return (bytes[offset]! | bytes[offset + 1]! << 8 | bytes[offset + 2]! << 16 |
    bytes[offset + 3]! << 24) >>> 0;
}

function malformed(what: string, facts: Record<string, number | undefined>): AwsocksError {
  return new AwsocksError("smux-protocol-error", `The peer sent a malformed frame: ${what}`, {
    facts,
  });
}
