/**
 * Frames of the command protocol.
 *
 * | field  | bytes | value                                                   |
 * | ------ | ----- | ------------------------------------------------------- |
 * | TYPE   | 1     | 0 command, 1 stdout, 2 stderr, 3 stdin, 4 exit          |
 * | LENGTH | 2     | bytes of DATA, 0 to 65,535, little-endian               |
 * | DATA   | LENGTH | the command's text, a piece of a stream, or its status |
 *
 * The host sends commands and stdin, the client stdout, stderr and exit. There is no greeting and no
 * version; `docs/exec.md` has the whole of it.
 *
 * @module
 */

import { type Conn, writeAll } from "../core/mod.ts";
import { truncated, unknownType } from "./failures.ts";

/** Values of TYPE. */
export const FrameType = {
  /** Host to client: run this. */
  Command: 0,
  /** Client to host: the command wrote this to its standard output. */
  Stdout: 1,
  /** Client to host: the command wrote this to its standard error. */
  Stderr: 2,
  /** Host to client: for the command's standard input; without DATA, its end. */
  Stdin: 3,
  /** Client to host: the command has ended, with this status; see `exit_status.ts`. */
  Exit: 4,
} as const;

/** A value of TYPE. */
export type FrameType = typeof FrameType[keyof typeof FrameType];

/** Bytes of TYPE and LENGTH. */
export const FRAME_HEADER_BYTES = 3;

/** Longest DATA. */
export const MAX_FRAME_DATA_BYTES = 0xffff;

/** Longest frame. */
const MAX_FRAME_BYTES = FRAME_HEADER_BYTES + MAX_FRAME_DATA_BYTES;

/** One frame. */
export interface Frame {
  readonly type: FrameType;
  readonly data: Uint8Array;
}

function isFrameType(value: number): value is FrameType {
  return value <= FrameType.Exit;
}

/**
 * Puts a frame into `into`, which must have room for it.
 * @returns bytes of the frame
 * @throws RangeError when the data is longer than a frame can say
 */
function putFrame(into: Uint8Array, { type, data }: Frame): number {
  const length = data.byteLength;
  if (length > MAX_FRAME_DATA_BYTES) {
    throw new RangeError(`A frame holds ${MAX_FRAME_DATA_BYTES} bytes, not ${length}`);
  }
  into[0] = type;
  into[1] = length & 0xff;
  into[2] = length >> 8;
  into.set(data, FRAME_HEADER_BYTES);
  return FRAME_HEADER_BYTES + length;
}

/**
 * A frame as bytes.
 * @throws RangeError when the data is longer than a frame can say
 *
 * @example
 * ```ts
 * import { encodeFrame, FrameType } from "./frames.ts";
 *
 * const bytes = encodeFrame({ type: FrameType.Command, data: new TextEncoder().encode("ls") });
 * if (bytes.join() !== "0,2,0,108,115") throw new Error("not as documented");
 * ```
 */
export function encodeFrame(frame: Frame): Uint8Array {
  const bytes = new Uint8Array(FRAME_HEADER_BYTES + frame.data.byteLength);
  putFrame(bytes, frame);
  return bytes;
}

/** Reads frames from a byte stream, however it is cut. */
export class FrameReader {
  readonly #source: Pick<Conn, "read">;
  /** Room for a whole frame behind the rest of another. */
  readonly #buffer = new Uint8Array(2 * MAX_FRAME_BYTES);
  #start = 0;
  #end = 0;

  constructor(source: Pick<Conn, "read">) {
    this.#source = source;
  }

  /**
   * The next frame, or null at the end of input. Its data is valid until the next call.
   * @throws AwsocksError `exec-protocol-error` for a type that there is not, and for an input that
   * ends within a frame
   */
  async read(): Promise<Frame | null> {
    for (;;) {
      const frame = this.#take();
      if (frame) return frame;
      if (!await this.#fill()) {
        if (this.#start === this.#end) return null;
        throw truncated(this.#end - this.#start);
      }
    }
  }

  /** A frame that is there as a whole. */
  #take(): Frame | undefined {
    const at = this.#start;
    const available = this.#end - at;
    if (available === 0) return undefined;
    const type = this.#buffer[at]!;
    if (!isFrameType(type)) throw unknownType(type);
    if (available < FRAME_HEADER_BYTES) return undefined;
    const length = this.#buffer[at + 1]! | this.#buffer[at + 2]! << 8;
    if (available < FRAME_HEADER_BYTES + length) return undefined;
    this.#start += FRAME_HEADER_BYTES + length;
    return { type, data: this.#buffer.subarray(at + FRAME_HEADER_BYTES, this.#start) };
  }

  /** Reads more; false at the end of input. */
  async #fill(): Promise<boolean> {
    if (this.#start > 0) {
      this.#buffer.copyWithin(0, this.#start, this.#end);
      this.#end -= this.#start;
      this.#start = 0;
    }
    const n = await this.#source.read(this.#buffer.subarray(this.#end));
    this.#end += n ?? 0;
    return n !== null;
  }
}

/** Writes frames, one after the other whoever calls; what fails once fails ever after. */
export class FrameWriter {
  readonly #target: Pick<Conn, "write">;
  readonly #buffer = new Uint8Array(MAX_FRAME_BYTES);
  #tail: Promise<void> = Promise.resolve();

  constructor(target: Pick<Conn, "write">) {
    this.#target = target;
  }

  /**
   * Writes `data` in as many frames as it takes: one, without DATA, if it is empty. Resolves when the
   * connection has accepted all of it, which is the back-pressure; until then the data must not
   * change.
   */
  async write(type: FrameType, data: Uint8Array): Promise<void> {
    let at = 0;
    do {
      const part = data.subarray(at, at + MAX_FRAME_DATA_BYTES);
      await this.#send({ type, data: part });
      at += part.byteLength;
    } while (at < data.byteLength);
  }

  #send(frame: Frame): Promise<void> {
    const turn = this.#tail.then(() => {
      const length = putFrame(this.#buffer, frame);
      return writeAll(this.#target, this.#buffer.subarray(0, length));
    });
    this.#tail = turn;
    turn.catch(() => {}); // whoever waits for this turn hears of it
    return turn;
  }
}
