/**
 * Where the body of an HTTP/1 request ends, so that nothing behind it reaches the wrong server.
 * RFC 9112 sections 6 and 7.1.
 *
 * @module
 */

import { AwsocksError } from "../core/mod.ts";
import { type Head, headerList, headerValues } from "./http_head.ts";

/** Finds the end of a message body in the bytes that pass by. */
export interface BodyMeter {
  /** True when the body is complete. */
  readonly done: boolean;
  /**
   * Looks at the next bytes.
   * @returns how many of them belong to the body; less than all only when it ends among them
   * @throws AwsocksError `proxy-protocol-error`
   */
  take(bytes: Uint8Array): number;
}

/**
 * The body that a request announces.
 * @throws AwsocksError `proxy-protocol-error` for lengths that contradict each other
 */
export function requestBody(head: Head): BodyMeter {
  const lengths = headerValues(head, "content-length");
  const codings = headerList(head, "transfer-encoding");
  if (codings.length > 0) {
    // A length beside a coding is how requests are smuggled past a proxy (RFC 9112 section 6.1).
    if (lengths.length > 0 || codings.at(-1) !== "chunked" || head.start[2] === "HTTP/1.0") {
      throw malformed("the length of the request body is ambiguous");
    }
    return new ChunkedBody();
  }
  if (lengths.length === 0) return new SizedBody(0);
  const [length] = lengths;
  if (lengths.length > 1 || !/^\d{1,15}$/.test(length!)) {
    throw malformed("Content-Length is not one number");
  }
  return new SizedBody(Number(length));
}

function malformed(why: string): AwsocksError {
  return new AwsocksError("proxy-protocol-error", `Malformed HTTP request: ${why}`);
}

class SizedBody implements BodyMeter {
  #left: number;

  constructor(length: number) {
    this.#left = length;
  }

  get done(): boolean {
    return this.#left === 0;
  }

  take(bytes: Uint8Array): number {
    const taken = Math.min(this.#left, bytes.length);
    this.#left -= taken;
    return taken;
  }
}

const CR = 0x0d;
const LF = 0x0a;

/** Longest line of a chunk's size with its extensions, or of a trailer field, in bytes. */
const MAX_LINE_BYTES = 4096;

/** Chunks pass unchanged; only their sizes are read. */
class ChunkedBody implements BodyMeter {
  /** What the next byte belongs to. */
  #state: "size" | "data" | "data-end" | "trailer" | "done" = "size";
  #line = "";
  #left = 0;

  get done(): boolean {
    return this.#state === "done";
  }

  take(bytes: Uint8Array): number {
    let at = 0;
    while (at < bytes.length && this.#state !== "done") {
      if (this.#state === "data") {
        const taken = Math.min(this.#left, bytes.length - at);
        at += taken;
        this.#left -= taken;
        if (this.#left === 0) this.#state = "data-end";
      } else {
        this.#byte(bytes[at++]!);
      }
    }
    return at;
  }

  /** Collects a line; a line feed that no carriage return announces is no line end. */
  #byte(byte: number): void {
    const afterCr = this.#line.endsWith("\r");
    if (afterCr !== (byte === LF)) throw malformed("chunk line without CRLF");
    if (!afterCr) {
      this.#line += byte === CR ? "\r" : String.fromCharCode(byte);
      if (this.#line.length > MAX_LINE_BYTES) throw malformed("chunk line too long");
      return;
    }
    const line = this.#line.slice(0, -1);
    this.#line = "";
    this.#endOfLine(line);
  }

  #endOfLine(line: string): void {
    if (this.#state === "data-end") {
      if (line !== "") throw malformed("chunk longer than its size");
      this.#state = "size";
    } else if (this.#state === "trailer") {
      if (line === "") this.#state = "done";
    } else {
      const size = /^([0-9a-f]{1,13})[ \t]*(?:;.*)?$/i.exec(line)?.[1];
      if (size === undefined) throw malformed("chunk size is not a number");
      this.#left = parseInt(size, 16);
      this.#state = this.#left === 0 ? "trailer" : "data";
    }
  }
}
