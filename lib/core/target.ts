/**
 * A destination as the client named it.
 *
 * @module
 */

/** A host and a port. */
export interface Target {
  /** Domain name, IPv4 literal, or IPv6 literal without brackets; as the client gave it. */
  readonly host: string;
  /** TCP port, 1 to 65535. */
  readonly port: number;
}

/** `host:port`, with brackets around an IPv6 literal. */
export function formatTarget(target: Target): string {
  return target.host.includes(":")
    ? `[${target.host}]:${target.port}`
    : `${target.host}:${target.port}`;
}
