/**
 * Heads of HTTP/1 messages: parsing, strict enough that no two programs can read one differently, and
 * writing. RFC 9112.
 *
 * @module
 */

import { AwsocksError } from "../core/mod.ts";
import type { Parsed } from "./buffered_conn.ts";

/** A header field: name as sent, value without surrounding blanks. */
export type Header = readonly [name: string, value: string];

/** Start line and header fields of a message. */
export interface Head {
  /** The three parts of the start line. */
  readonly start: readonly [string, string, string];
  readonly headers: readonly Header[];
}

/** `METHOD TARGET VERSION`; the target is not looked into. */
const REQUEST_LINE = /^([!#$%&'*+.^_`|~\w-]+) ([\x21-\x7e\x80-\xff]+) (HTTP\/1\.[01])$/;

/** `VERSION STATUS REASON`; the reason may be empty, and some servers omit the blank before it. */
const STATUS_LINE = /^(HTTP\/1\.[01]) ([1-9]\d\d)(?: (.*))?$/;

/** No folded lines and no blank before the colon (RFC 9112 sections 5.1 and 5.2): both help smugglers. */
const HEADER_LINE = /^([!#$%&'*+.^_`|~\w-]+):[ \t]*([^\0\r\n]*?)[ \t]*$/;

/** A request's head. Empty lines before it are skipped (RFC 9112 section 2.2). */
export function parseRequestHead(bytes: Uint8Array): Parsed<Head> | undefined {
  return parseHead(bytes, REQUEST_LINE, "request");
}

/** A response's head. */
export function parseResponseHead(bytes: Uint8Array): Parsed<Head> | undefined {
  return parseHead(bytes, STATUS_LINE, "response");
}

function parseHead(bytes: Uint8Array, startLine: RegExp, what: string): Parsed<Head> | undefined {
  const begin = startOfHead(bytes);
  const end = endOfHead(bytes, begin);
  if (end === undefined) return undefined;
  // Byte by byte: the decoder that is called "latin1" is windows-1252 and would not give them back.
  const text = String.fromCharCode(...bytes.subarray(begin, end));
  const [first = "", ...lines] = text.split("\r\n");
  const start = startLine.exec(first);
  if (!start) throw malformed(`${what} line`);
  const headers = lines.map((line): Header => {
    const [, name, value] = HEADER_LINE.exec(line) ?? [];
    if (name === undefined || value === undefined) throw malformed(`${what} header`);
    return [name, value];
  });
  return {
    value: { start: [start[1]!, start[2]!, start[3] ?? ""], headers },
    length: end + EMPTY_LINE.length,
  };
}

const [CR, LF] = [0x0d, 0x0a];

/** The end of the last line, and the empty line behind it. */
const EMPTY_LINE = [CR, LF, CR, LF];

function startOfHead(bytes: Uint8Array): number {
  let at = 0;
  while (bytes[at] === CR && bytes[at + 1] === LF) at += 2;
  return at;
}

function endOfHead(bytes: Uint8Array, begin: number): number | undefined {
  for (let at = bytes.indexOf(CR, begin); at >= 0; at = bytes.indexOf(CR, at + 1)) {
    if (EMPTY_LINE.every((byte, i) => bytes[at + i] === byte)) return at;
  }
  return undefined;
}

function malformed(what: string): AwsocksError {
  return new AwsocksError("proxy-protocol-error", `Malformed HTTP ${what}`);
}

/** Every value of a header field, in order. */
export function headerValues(head: Head, name: string): string[] {
  const wanted = name.toLowerCase();
  return head.headers.filter(([field]) => field.toLowerCase() === wanted).map(([, value]) => value);
}

/** The elements of a header field that is a comma-separated list, in lower case. */
export function headerList(head: Head, name: string): string[] {
  return headerValues(head, name)
    .flatMap((value) => value.split(","))
    .map((element) => element.trim().toLowerCase())
    .filter((element) => element !== "");
}

/** The head on the wire, with the empty line that ends it. */
export function encodeHead(head: Head): Uint8Array {
  const lines = [head.start.join(" ").trimEnd(), ...head.headers.map((field) => field.join(": "))];
  return Uint8Array.from(`${lines.join("\r\n")}\r\n\r\n`, (character) => character.charCodeAt(0));
}

/** Fields that speak about one connection only (RFC 9110 section 7.6.1), besides those it names itself. */
const HOP_BY_HOP = [
  "connection",
  "keep-alive",
  "proxy-authenticate",
  "proxy-authorization",
  "proxy-connection",
  "te",
  "upgrade",
];

/** Fields that `Connection` cannot remove, whatever it says: without them the message has no end. */
const FRAMING = ["content-length", "host", "transfer-encoding"];

/** The fields that pass on to the next connection. */
export function endToEndHeaders(head: Head): Header[] {
  const named = headerList(head, "connection").filter((name) => !FRAMING.includes(name));
  const dropped = new Set([...HOP_BY_HOP, ...named]);
  return head.headers.filter(([name]) => !dropped.has(name.toLowerCase()));
}
