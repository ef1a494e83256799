/**
 * The destination of a client's request, checked once for all protocols.
 *
 * @module
 */

import { AwsocksError, type Target } from "../core/mod.ts";
import { parseHost } from "../routing/mod.ts";

/** Longest name in a SOCKS5 request, and about the longest that DNS carries (RFC 1035 section 3.1). */
const MAX_HOST_CHARACTERS = 255;

/**
 * A target in the spelling to dial: addresses canonical and without brackets, names in A-labels.
 *
 * @throws AwsocksError `proxy-protocol-error` for what is neither a name nor an address, or port 0
 */
export function clientTarget(host: string, port: number): Target {
  const parsed = host.length <= MAX_HOST_CHARACTERS ? parseHost(host) : undefined;
  if (!parsed) {
    const shown = JSON.stringify(host.length > 80 ? `${host.slice(0, 80)}…` : host);
    throw new AwsocksError(
      "proxy-protocol-error",
      `Client asks for host ${shown}, which is neither a name nor an address`,
    );
  }
  if (!Number.isInteger(port) || port < 1 || port > 65535) {
    throw new AwsocksError("proxy-protocol-error", `Client asks for port ${port} of ${host}`);
  }
  return { host: parsed.dial, port };
}
