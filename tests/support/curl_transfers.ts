/**
 * Large transfers by curl through a proxy, checked by digest on both ends.
 *
 * @module
 */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { blocksOf, sha256Of } from "../../lib/sandbox/vpc/bytes.ts";
import { curl, note } from "./external.ts";

const LIMIT_MS = 300_000;

/** What is transferred, and through what. */
export interface Transfer {
  /** curl's options that lead through the proxy. */
  readonly via: readonly string[];
  /** A site with `/bytes?size=N&seed=S` and `/upload` as the sandbox has. */
  readonly site: string;
  /** Bytes. */
  readonly size: number;
  /** Printed with the time. */
  readonly name: string;
  /** Milliseconds after which the site starts to read an upload; default at once. */
  readonly wait?: number;
}

/** @throws AssertionError unless every byte came in its place */
export async function curlDown({ via, site, size, name }: Transfer): Promise<void> {
  const start = performance.now();
  const hash = createHash("sha256");
  const { code, stderr } = await curl([...via, `${site}bytes?size=${size}&seed=7`], {
    onOutput: (chunk) => void hash.update(chunk),
    limit: LIMIT_MS,
  });
  assert.equal(code, 0, stderr);
  assert.equal(hash.digest("hex"), sha256Of(size, 7), "digest of the download");
  await report(`${name}: down`, size, start);
}

/** @throws AssertionError unless the site got every byte in its place */
export async function curlUp({ via, site, size, name, wait = 0 }: Transfer): Promise<void> {
  const start = performance.now();
  const { code, stdout, stderr } = await curl([...via, "-T", "-", `${site}upload?wait=${wait}`], {
    input: copies(blocksOf(size, 8)),
    limit: LIMIT_MS,
  });
  assert.equal(code, 0, stderr);
  assert.deepEqual(JSON.parse(stdout), { bytes: size, sha256: sha256Of(size, 8) });
  await report(`${name}: up`, size, start);
}

/** The blocks share one array, which a stream may still hold when the next one is made. */
function* copies(blocks: Iterable<Uint8Array>): Generator<Uint8Array> {
  for (const block of blocks) yield block.slice();
}

async function report(name: string, size: number, start: number): Promise<void> {
  const seconds = (performance.now() - start) / 1000;
  const rate = (size / 1e6 / seconds).toFixed(1);
  await note(`${name} ${size / 1e6} MB in ${seconds.toFixed(1)} s, ${rate} MB/s`);
}
