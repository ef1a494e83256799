/**
 * The DATA of an exit frame, and what becomes of a status at the end of a program.
 *
 * @module
 */

import { protocolError } from "./failures.ts";

/** Status of a command that a signal ended is this plus the signal's number, as in a shell. */
export const SIGNAL_STATUS = 128;

/** Status of a command that cannot be run, and of one that is not found; as in a POSIX shell. */
export const NOT_EXECUTABLE_STATUS = 126;
export const NOT_FOUND_STATUS = 127;

const EXIT_BYTES = 4;

/**
 * A status as DATA: a signed 32-bit number, little-endian like LENGTH.
 *
 * The protocol's description leaves the form open. With this one, a reader of the first byte, of two,
 * four or any number of bytes little-endian, signed or not, finds the right status, since statuses are
 * 0 to 255.
 */
export function encodeExitStatus(status: number): Uint8Array {
  const data = new Uint8Array(EXIT_BYTES);
  new DataView(data.buffer).setInt32(0, status, true);
  return data;
}

/** A decimal number, for peers that write the status as text. */
const DECIMAL = /^\s*-?\d{1,10}\s*$/;

/**
 * Reads the DATA of an exit frame in any of the forms in use: 1, 2, 4 or 8 bytes little-endian,
 * decimal text, or nothing, which is 0.
 *
 * A lone digit is text: `0` is how a peer that writes text says success, every time, while statuses
 * 48 to 57 in one byte are rare.
 *
 * @throws AwsocksError `exec-protocol-error`
 */
export function decodeExitStatus(data: Uint8Array): number {
  const text = String.fromCharCode(...data.subarray(0, 16));
  if (data.byteLength <= 16 && DECIMAL.test(text)) return Number(text);
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  switch (data.byteLength) {
    case 0:
      return 0;
    case 1:
      return view.getUint8(0);
    case 2:
      return view.getUint16(0, true);
    case 4:
      return view.getInt32(0, true);
    case 8:
      return Number(view.getBigInt64(0, true));
  }
  throw protocolError(`An exit frame of ${data.byteLength} bytes has no status that is known`);
}

/**
 * A status as the exit code of a program, which has eight bits: what would become 0 by that without
 * being 0 becomes 1.
 */
export function exitCodeOf(status: number): number {
  const code = status & 0xff;
  return code === 0 && status !== 0 ? 1 : code;
}
