/**
 * The reading half of HTTP/1.x over a Conn: heads and bodies (RFC 9112).
 *
 * @module
 */

import type { Conn } from "../../core/mod.ts";

/** Largest request line and header section, in bytes. */
const MAX_HEAD_BYTES = 32 * 1024;
const BUFFER_BYTES = 64 * 1024;
const MAX_CHUNK_LINE_BYTES = 1024;
const LF = 10;
const decoder = new TextDecoder("latin1");

/** A request that is not HTTP/1.x as this server speaks it. */
export class HttpSyntaxError extends Error {
  override readonly name = "HttpSyntaxError";
}

/** Request line and header section. */
export interface RequestHead {
  readonly method: string;
  /** As sent. */
  readonly target: string;
  readonly version: "1.0" | "1.1";
  /** By lower-case name; repeated ones joined with a comma. */
  readonly headers: ReadonlyMap<string, string>;
}

/** Takes requests apart as their bytes come in. */
export class HttpInput {
  readonly #conn: Pick<Conn, "read">;
  readonly #buffer = new Uint8Array(BUFFER_BYTES);
  #start = 0;
  #end = 0;

  constructor(conn: Pick<Conn, "read">) {
    this.#conn = conn;
  }

  /** Bytes that were read but not used yet. */
  takeRest(): Uint8Array {
    const rest = this.#buffer.slice(this.#start, this.#end);
    this.#start = this.#end;
    return rest;
  }

  /**
   * The next request's head; null at the end of input.
   * @throws HttpSyntaxError
   */
  async head(): Promise<RequestHead | null> {
    let line: string | null;
    let left = MAX_HEAD_BYTES;
    const next = async () => {
      const text = await this.#line(left);
      left -= text?.length ?? 0;
      return text;
    };
    // Empty lines before a request are to be ignored, RFC 9112 section 2.2.
    do line = await next(); while (line === "");
    if (line === null) return null;
    const request = /^([!#$%&'*+.^_`|~\w-]+) (\S+) HTTP\/(1\.[01])$/.exec(line);
    if (!request) throw new HttpSyntaxError("The request line is malformed");
    const headers = new Map<string, string>();
    for (line = await next(); line !== ""; line = await next()) {
      const field = /^([!#$%&'*+.^_`|~\w-]+):[ \t]*(.*?)[ \t]*$/.exec(line ?? "");
      if (!field) throw new HttpSyntaxError("A header field is malformed");
      const name = field[1]!.toLowerCase();
      const before = headers.get(name);
      headers.set(name, before === undefined ? field[2]! : `${before}, ${field[2]}`);
    }
    const [, method = "", target = "", version] = request;
    return { method, target, version: version as RequestHead["version"], headers };
  }

  /**
   * The body of a request, in parts that are valid until the next one is asked for.
   * @param begin called before the first part is read, unless there is no body
   * @throws HttpSyntaxError
   */
  async *body(head: RequestHead, begin: () => Promise<void>): AsyncGenerator<Uint8Array> {
    const coding = head.headers.get("transfer-encoding");
    if (coding !== undefined) {
      if (coding.toLowerCase() !== "chunked") throw new HttpSyntaxError("Unknown transfer coding");
      await begin();
      return yield* this.#chunks();
    }
    const length = head.headers.get("content-length") ?? "0";
    if (!/^\d{1,15}$/.test(length)) throw new HttpSyntaxError("Content-Length is malformed");
    if (Number(length) === 0) return;
    await begin();
    yield* this.#exactly(Number(length));
  }

  async *#chunks(): AsyncGenerator<Uint8Array> {
    for (;;) {
      const line = await this.#line(MAX_CHUNK_LINE_BYTES);
      const size = /^([\da-f]{1,8})(?:[ \t]*;.*)?$/i.exec(line ?? "")?.[1];
      if (size === undefined) throw new HttpSyntaxError("A chunk's size is malformed");
      const length = parseInt(size, 16);
      if (length === 0) break;
      yield* this.#exactly(length);
      if (await this.#line(0) !== "") throw new HttpSyntaxError("A chunk is too long");
    }
    for (let line = await this.#line(MAX_HEAD_BYTES); line !== "";) {
      if (line === null) throw new HttpSyntaxError("The trailer section is cut off");
      line = await this.#line(MAX_HEAD_BYTES);
    }
  }

  async *#exactly(length: number): AsyncGenerator<Uint8Array> {
    for (let left = length; left > 0;) {
      if (this.#start === this.#end && !await this.#fill()) {
        throw new HttpSyntaxError("The body is cut off");
      }
      const n = Math.min(left, this.#end - this.#start);
      this.#start += n;
      left -= n;
      yield this.#buffer.subarray(this.#start - n, this.#start);
    }
  }

  /** A line without its end; null when the input ends before. @param limit longest line in bytes */
  async #line(limit: number): Promise<string | null> {
    let text = "";
    for (;;) {
      const at = this.#buffer.subarray(this.#start, this.#end).indexOf(LF);
      const end = at < 0 ? this.#end : this.#start + at;
      text += decoder.decode(this.#buffer.subarray(this.#start, end));
      this.#start = at < 0 ? end : end + 1;
      if (text.length > limit + 1) throw new HttpSyntaxError("A line is too long");
      if (at >= 0) return text.replace(/\r$/, "");
      if (!await this.#fill()) {
        if (text !== "") throw new HttpSyntaxError("The request is cut off");
        return null;
      }
    }
  }

  /** Reads more into the empty buffer. @returns false at the end of input */
  async #fill(): Promise<boolean> {
    const n = await this.#conn.read(this.#buffer);
    this.#start = 0;
    this.#end = n ?? 0;
    return n !== null;
  }
}
