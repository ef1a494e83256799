/**
 * `HOST[:PORT]` on the command line.
 *
 * @module
 */

import type { Target } from "../core/target.ts";
import { UsageError } from "./usage_error.ts";

/**
 * Reads a destination: `host`, `host:port`, `10.0.0.1:22`, `::1`, `[::1]:443`, or a URL, whose scheme
 * then gives the port.
 * @param defaultPort port when none is given
 * @throws UsageError
 */
export function parseDestination(text: string, defaultPort: number): Target {
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(text)) return fromUrl(text, defaultPort);
  if (text.split(":").length > 2 && URL.canParse(`http://[${text}]`)) {
    return { host: text, port: defaultPort };
  }
  const [, bracketed, name, port] = /^(?:\[([^\]]*)\]|([^:[\]]*))(?::([^:]*))?$/.exec(text) ?? [];
  const host = bracketed ?? name ?? "";
  if (host === "" || /[\s/?#@]/.test(host)) throw wrong(text);
  return { host, port: port === undefined ? defaultPort : portOf(port, text) };
}

function fromUrl(text: string, defaultPort: number): Target {
  const url = URL.parse(text);
  if (!url || url.hostname === "") throw wrong(text);
  const host = url.hostname.replace(/^\[(.*)\]$/, "$1");
  const known: Record<string, number> = { "http:": 80, "ws:": 80, "https:": 443, "wss:": 443 };
  const port = url.port === "" ? known[url.protocol] ?? defaultPort : Number(url.port);
  return { host, port };
}

function portOf(text: string, whole: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : NaN;
  if (!(port >= 1 && port <= 65535)) {
    throw new UsageError(`A port is a number from 1 to 65535, not "${text}" as in "${whole}"`);
  }
  return port;
}

function wrong(text: string): UsageError {
  return new UsageError(`"${text}" is not a destination: HOST, HOST:PORT or [IPV6]:PORT`, {
    topic: "route",
  });
}
