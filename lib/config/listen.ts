/**
 * The address a proxy listens on, as text.
 *
 * @module
 */

/** A host without brackets, and a port from 0 to 65535. */
export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

/** Reads `host:port` or `[address]:port`; undefined if it is neither. The name is not looked up. */
export function parseListenAddress(text: string): ListenAddress | undefined {
  const match = /^(?:\[([0-9a-f:.]+(?:%[\w.-]+)?)\]|([a-z0-9_.-]+)):(\d{1,5})$/i.exec(text);
  if (!match) return undefined;
  const [, ipv6, name, digits] = match;
  const port = Number(digits);
  if (port > 65535) return undefined;
  if (ipv6 !== undefined) {
    return URL.canParse(`http://[${ipv6.replace(/%.*/, "")}]`) ? { host: ipv6, port } : undefined;
  }
  // The URL parser refuses what looks like an IPv4 address but is none.
  return URL.canParse(`http://${name}`) ? { host: name!, port } : undefined;
}
