/**
 * What clients do to a proxy.
 *
 * @module
 */

import assert from "node:assert/strict";
import { type Conn, readAll, readFull, type Target, writeAll } from "../../lib/core/mod.ts";
import { blocksOf } from "../../lib/sandbox/vpc/bytes.ts";
import { connectThrough } from "../support/stack.ts";

/** The sandbox's web site, and its port that sends back. */
export const SITE: Target = { host: "hello.sandbox.internal", port: 80 };
export const ECHO: Target = { host: "hello.sandbox.internal", port: 7 };

/** A connection through a SOCKS5 proxy. */
export function connect(proxy: Target, target: Target): Promise<Conn> {
  return connectThrough({ proxy }, target);
}

/** Reads a path of the site to its end. @returns bytes received */
export async function get(proxy: Target, path: string, onBytes?: (bytes: number) => void) {
  const conn = await connect(proxy, SITE);
  try {
    await writeAll(conn, new TextEncoder().encode(`GET ${path} HTTP/1.0\r\nHost: site\r\n\r\n`));
    const buffer = new Uint8Array(256 * 1024);
    let bytes = 0;
    for (let n; (n = await conn.read(buffer)) !== null;) {
      bytes += n;
      onBytes?.(n);
    }
    return bytes;
  } finally {
    conn.close();
  }
}

/** Uploads bytes to the site. */
export async function put(proxy: Target, size: number): Promise<void> {
  const conn = await connect(proxy, SITE);
  try {
    const head = `PUT /upload HTTP/1.0\r\nHost: site\r\nContent-Length: ${size}\r\n\r\n`;
    await writeAll(conn, new TextEncoder().encode(head));
    for (const block of blocksOf(size, 1)) await writeAll(conn, block);
    assert.match(new TextDecoder().decode(await readAll(conn)), new RegExp(`"bytes":${size}`));
  } finally {
    conn.close();
  }
}

/** Megabytes per second of several transfers side by side, `size` bytes each. */
export async function rate(
  count: number,
  size: number,
  transfer: (index: number) => Promise<unknown>,
): Promise<number> {
  const start = performance.now();
  await Promise.all(Array.from({ length: count }, (_, index) => transfer(index)));
  return count * size / 1000 / (performance.now() - start);
}

/** Megabytes per second that arrive of a source that never ends, over `count` connections. */
export async function flow(proxy: Target, source: Target, count: number, ms: number) {
  const conns = await Promise.all(Array.from({ length: count }, () => connect(proxy, source)));
  let bytes = 0;
  const reading = conns.map(async (conn) => {
    const buffer = new Uint8Array(256 * 1024);
    try {
      for (let n; (n = await conn.read(buffer)) !== null;) bytes += n;
    } catch {
      // Closed below.
    }
  });
  const start = performance.now();
  await new Promise((resolve) => setTimeout(resolve, ms));
  const figure = bytes / 1000 / (performance.now() - start);
  for (const conn of conns) conn.close();
  await Promise.all(reading);
  return figure;
}

/** Milliseconds of single bytes that come back, one after the other. */
export async function echoTimes(conn: Conn, count: number, pause = 5): Promise<number[]> {
  const byte = Uint8Array.of(1);
  const times: number[] = [];
  for (let i = 0; i < count; i++) {
    const start = performance.now();
    await writeAll(conn, byte);
    assert.ok(await readFull(conn, byte));
    times.push(performance.now() - start);
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
  return times;
}

const GREETING = Uint8Array.of(5, 1, 0);

/**
 * Connections per second: each is opened, sends a byte, gets it back, and is closed; `parallel` at a
 * time. @param proxy absent: straight to the destination, which shows what the client can do
 */
export async function connectionsPerSecond(
  proxy: Target | undefined,
  { host, port }: Target,
  { parallel, total }: { readonly parallel: number; readonly total: number },
): Promise<number> {
  const address = host.split(".").map(Number);
  const request = Uint8Array.of(5, 1, 0, 1, ...address, port >> 8, port & 0xff);
  const { host: hostname, port: at } = proxy ?? { host, port };
  let left = total;
  const client = async () => {
    const buffer = new Uint8Array(16);
    while (left-- > 0) {
      const tcp = await Deno.connect({ hostname, port: at });
      const full = async (bytes: number) => {
        for (let got = 0; got < bytes;) {
          const n = await tcp.read(buffer.subarray(got, bytes));
          if (n === null) throw new Error("The proxy has closed the connection");
          got += n;
        }
      };
      if (proxy) {
        await tcp.write(GREETING);
        await full(2);
        await tcp.write(request);
        await full(10);
        if (buffer[1] !== 0) throw new Error(`The proxy answers ${buffer[1]}`);
      }
      await tcp.write(buffer.subarray(0, 1));
      await full(1);
      tcp.close();
    }
  };
  const start = performance.now();
  await Promise.all(Array.from({ length: parallel }, client));
  return total * 1000 / (performance.now() - start);
}
