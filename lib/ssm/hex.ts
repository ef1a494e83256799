/**
 * Bytes as hexadecimal text, for what stands in every message.
 *
 * @module
 */

/** Two digits for each byte. */
const DIGITS = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));

/** The value of each ASCII character as a digit; 255 for those that are none. */
const VALUES = new Uint8Array(128).fill(255);
for (let value = 0; value < 16; value++) {
  const digit = value.toString(16);
  VALUES[digit.charCodeAt(0)] = VALUES[digit.toUpperCase().charCodeAt(0)] = value;
}

/** Text for `length` bytes from `offset` on, in lower case. */
export function readHex(bytes: Uint8Array, offset: number, length: number): string {
  let text = "";
  for (let i = offset; i < offset + length; i++) text += DIGITS[bytes[i]!];
  return text;
}

/**
 * Writes the bytes that the digits of `text` from `start` to `end` stand for.
 * @returns false when something among them is no digit, or half a byte is left; some may be written
 */
export function writeHex(
  bytes: Uint8Array,
  offset: number,
  text: string,
  start = 0,
  end: number = text.length,
): boolean {
  if ((end - start) % 2 !== 0) return false;
  for (let i = start; i < end; i += 2) {
    const high = VALUES[text.charCodeAt(i)] ?? 255;
    const low = VALUES[text.charCodeAt(i + 1)] ?? 255;
    if (high === 255 || low === 255) return false;
    bytes[offset++] = high << 4 | low;
  }
  return true;
}
