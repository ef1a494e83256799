/**
 * Transfers between a client of the proxy and the sandbox's web site, each over one connection,
 * checked by digest.
 *
 * @module
 */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { type Conn, readAll, type Target, writeAll } from "../../lib/core/mod.ts";
import { PAGE_TEXT, sha256Of } from "../../lib/sandbox/mod.ts";
import { blocksOf } from "../../lib/sandbox/vpc/bytes.ts";
import { connectThrough, type Stack } from "./stack.ts";

/** The web site inside the sandbox's network. */
export const SITE = { host: "hello.sandbox.internal", port: 80 } as const;

/** Options of a transfer. */
export interface TransferOptions {
  /** Bytes. */
  readonly size: number;
  /** Number of the stream of bytes; default 1. */
  readonly seed?: number;
  /** Called whenever some of a download has come. */
  readonly onBytes?: (bytes: number) => void;
}

/** Longest head of an HTTP answer. */
const MAX_HEAD_BYTES = 64 * 1024;
const CHUNK_BYTES = 64 * 1024;

/** Fetches the private page over one new connection. */
export async function getPage(
  stack: Pick<Stack, "proxy">,
  target: Target = SITE,
): Promise<void> {
  const conn = await connectThrough(stack, target);
  try {
    await request(conn, "GET /");
    assert.match(new TextDecoder().decode(await readAll(conn)), new RegExp(PAGE_TEXT));
  } finally {
    conn.close();
  }
}

/** Downloads over one new connection. @throws AssertionError unless every byte came in its place */
export async function download(stack: Stack, options: TransferOptions): Promise<void> {
  await downloadOver(await connectThrough(stack, SITE), options);
}

/** Downloads over a connection to {@linkcode SITE}, and closes it. @throws as {@linkcode download} does */
export async function downloadOver(conn: Conn, options: TransferOptions): Promise<void> {
  const { size, seed = 1, onBytes } = options;
  try {
    await request(conn, `GET /bytes?size=${size}&seed=${seed}`);
    const hash = createHash("sha256");
    let bytes = 0;
    for await (const chunk of body(conn)) {
      hash.update(chunk);
      bytes += chunk.byteLength;
      onBytes?.(bytes);
    }
    assert.equal(bytes, size, "bytes received");
    assert.equal(hash.digest("hex"), sha256Of(size, seed), "digest of what was received");
  } finally {
    conn.close();
  }
}

/** Uploads over one new connection. @throws AssertionError unless the site got every byte */
export async function upload(stack: Stack, options: TransferOptions): Promise<void> {
  const { size, seed = 1 } = options;
  const conn = await connectThrough(stack, SITE);
  try {
    await request(conn, "PUT /upload", [`Content-Length: ${size}`]);
    for (const block of blocksOf(size, seed)) await writeAll(conn, block);
    const answer = new TextDecoder().decode(await readAll(conn));
    const received = JSON.parse(answer.slice(answer.indexOf("\r\n\r\n") + 4));
    assert.deepEqual(received, { bytes: size, sha256: sha256Of(size, seed) });
  } finally {
    conn.close();
  }
}

async function request(conn: Conn, line: string, headers: readonly string[] = []): Promise<void> {
  const head = [`${line} HTTP/1.0`, `Host: ${SITE.host}`, ...headers, "", ""].join("\r\n");
  await writeAll(conn, new TextEncoder().encode(head));
}

/** The body of an HTTP/1.0 answer, which ends with the connection. */
async function* body(conn: Conn): AsyncGenerator<Uint8Array> {
  const buffer = new Uint8Array(CHUNK_BYTES);
  let head: string | undefined = "";
  for (let n; (n = await conn.read(buffer)) !== null;) {
    const chunk = buffer.subarray(0, n);
    if (head === undefined) {
      yield chunk;
      continue;
    }
    const before: number = head.length;
    // One character for each byte, so that positions in text and bytes agree.
    head += new TextDecoder("latin1").decode(chunk);
    const end: number = head.indexOf("\r\n\r\n");
    assert.ok(end >= 0 || head.length < MAX_HEAD_BYTES, "the answer has no end of its head");
    if (end < 0) continue;
    assert.match(head, /^HTTP\/1\.[01] 200 /);
    head = undefined;
    if (end + 4 - before < n) yield chunk.subarray(end + 4 - before);
  }
}
