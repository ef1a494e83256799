/**
 * Just enough HTTP to fetch one page over a connection, and its text.
 *
 * @module
 */

import { AwsocksError } from "../core/errors.ts";
import { type Conn, writeAll } from "../core/conn.ts";

/** A page. */
export interface Page {
  /** First line of the answer. */
  readonly status: string;
  readonly body: string;
  /** Bytes of the body. */
  readonly bytes: number;
}

/** Longest answer that is taken. */
const MAX_BYTES = 1024 * 1024;

/**
 * Fetches a page with HTTP/1.0, whose answer ends with the connection: no chunks to put together.
 * @param onFirstByte called when the answer begins
 * @throws AwsocksError `destination-failed` for an answer that is not a page
 */
export async function fetchPage(
  conn: Conn,
  host: string,
  path: string,
  onFirstByte: () => void,
): Promise<Page> {
  const request = `GET ${path} HTTP/1.0\r\nHost: ${host}\r\nUser-Agent: awsocks-demo\r\n\r\n`;
  await writeAll(conn, new TextEncoder().encode(request));
  const decoder = new TextDecoder();
  let answer = "";
  const buffer = new Uint8Array(16 * 1024);
  let total = 0;
  for (;;) {
    const n = await conn.read(buffer);
    if (n === null) break;
    if (total === 0) onFirstByte();
    total += n;
    if (total > MAX_BYTES) throw failed(host, "the answer is too long");
    answer += decoder.decode(buffer.subarray(0, n), { stream: true });
  }
  const end = answer.indexOf("\r\n\r\n");
  const status = /^HTTP\/1\.[01] \d{3}[^\r\n]*/.exec(answer)?.[0];
  if (end < 0 || status === undefined) throw failed(host, "the answer is not HTTP");
  const body = answer.slice(end + 4);
  return { status, body, bytes: new TextEncoder().encode(body).byteLength };
}

function failed(host: string, why: string): AwsocksError {
  return new AwsocksError("destination-failed", `Fetching the page of ${host} failed: ${why}`);
}

const ENTITIES: Readonly<Record<string, string>> = {
  amp: "&",
  lt: "<",
  gt: ">",
  quot: '"',
  nbsp: " ",
};

/** The text of an HTML page: a line for each block, without head, markup and empty lines. */
export function pageText(html: string): string[] {
  return html
    .replaceAll(/<(head|script|style)\b[\s\S]*?<\/\1\s*>/gi, "")
    .replaceAll(/<!--[\s\S]*?-->/g, "")
    .replaceAll(/\s+/g, " ")
    .replaceAll(/<\/?(p|h\d|li|ul|ol|div|br|tr|pre|body|main|section|article)\b[^>]*>/gi, "\n")
    .replaceAll(/<[^>]*>/g, "")
    .replaceAll(/&(#?\w+);/g, (whole, name: string) => ENTITIES[name] ?? numeric(name) ?? whole)
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "");
}

function numeric(name: string): string | undefined {
  const match = /^#(?:x([0-9a-f]+)|(\d+))$/i.exec(name);
  if (!match) return undefined;
  const code = match[1] === undefined ? Number(match[2]) : parseInt(match[1], 16);
  return code > 0 && code <= 0x10ffff ? String.fromCodePoint(code) : undefined;
}
