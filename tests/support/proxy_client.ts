/**
 * A client of a proxy that runs in another process.
 *
 * @module
 */

import { DenoConn, readAll, writeAll } from "../../lib/core/mod.ts";
import { socks5Connect, Socks5Refusal } from "../../lib/proxy/mod.ts";

/** Fetches a page through SOCKS5 with HTTP/1.0; gives the whole answer. */
export async function fetchThrough(proxyPort: number, url: string): Promise<string> {
  const { hostname, port, pathname, search } = new URL(url);
  const tcp = new DenoConn(await Deno.connect({ hostname: "127.0.0.1", port: proxyPort }));
  try {
    const conn = await socks5Connect(tcp, { host: hostname, port: Number(port) || 80 });
    const request = `GET ${pathname}${search} HTTP/1.0\r\nHost: ${hostname}\r\n\r\n`;
    await writeAll(conn, new TextEncoder().encode(request));
    return new TextDecoder().decode(await readAll(conn));
  } finally {
    tcp.close();
  }
}

/** The SOCKS5 reply (RFC 1928 section 6) to a request for a destination; 0 for success. */
export async function replyTo(proxyPort: number, host: string, port: number): Promise<number> {
  const tcp = new DenoConn(await Deno.connect({ hostname: "127.0.0.1", port: proxyPort }));
  try {
    await socks5Connect(tcp, { host, port });
    return 0;
  } catch (error) {
    if (error instanceof Socks5Refusal) return error.reply;
    throw error;
  } finally {
    tcp.close();
  }
}
