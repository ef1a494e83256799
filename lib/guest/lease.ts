/**
 * What a DHCP client says, and what follows from it. busybox's udhcpc runs a script for each event, with
 * the facts in its environment; the script of this agent writes them to its output, one event a line, and
 * the agent does the rest.
 *
 * @module
 */

/** The script. Fields are separated by `|`, which none of them can have. */
export const LEASE_SCRIPT = `#!/bin/sh
echo "lease|$1|$interface|$ip|$mask|$router|$dns|$search|$domain|$mtu|$lease"
`;

/** Events of udhcpc; see its usage text and the sample script of busybox. */
const EVENTS = ["deconfig", "bound", "renew", "leasefail", "nak"] as const;

/** An event of the DHCP client. */
export interface LeaseEvent {
  readonly event: typeof EVENTS[number];
  readonly device: string;
  /** Present when there is a lease. */
  readonly lease?: Lease;
}

/** An address for some time, and what goes with it. */
export interface Lease {
  readonly address: string;
  /** Length of the network's prefix. */
  readonly prefix: number;
  readonly routers: readonly string[];
  readonly nameServers: readonly string[];
  /** Domains in which the resolver looks for short names. */
  readonly search: readonly string[];
  readonly mtu?: number;
  /** Seconds. */
  readonly seconds?: number;
}

const IPV4 = /^(25[0-5]|2[0-4]\d|1?\d?\d)(\.(25[0-5]|2[0-4]\d|1?\d?\d)){3}$/;
const DOMAIN = /^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\.?$/;

/** Smallest packet that every IPv4 host must take (RFC 791); less is a mistake. */
const MIN_MTU = 576;

/** Reads a line of the script; undefined for anything else that the client writes. */
export function parseLeaseEvent(line: string): LeaseEvent | undefined {
  const [tag, name, device = "", ip, mask, router, dns, search, domain, mtu, seconds, ...rest] =
    line
      .split("|");
  const event = EVENTS.find((each) => each === name);
  if (tag !== "lease" || !event || device === "" || rest.length > 0) return undefined;
  const lease = event === "bound" || event === "renew"
    ? leaseOf({ ip, mask, router, dns, search: search || domain, mtu, seconds })
    : undefined;
  return { event, device, ...(lease && { lease }) };
}

function leaseOf(fields: Readonly<Record<string, string | undefined>>): Lease | undefined {
  const { ip = "", mask, router, dns, search, mtu, seconds } = fields;
  const prefix = wholeNumber(mask, 1, 32);
  if (!IPV4.test(ip) || prefix === undefined) return undefined;
  const bytes = wholeNumber(mtu, MIN_MTU, 65_535);
  const time = wholeNumber(seconds, 1, 0xffff_ffff);
  return {
    address: ip,
    prefix,
    routers: words(router, IPV4),
    nameServers: words(dns, IPV4),
    search: words(search, DOMAIN),
    ...(bytes !== undefined && { mtu: bytes }),
    ...(time !== undefined && { seconds: time }),
  };
}

function words(text: string | undefined, pattern: RegExp): string[] {
  return (text ?? "").split(/\s+/).filter((word) => pattern.test(word));
}

function wholeNumber(text: string | undefined, min: number, max: number): number | undefined {
  const number = /^\d{1,10}$/.test(text ?? "") ? Number(text) : NaN;
  return number >= min && number <= max ? number : undefined;
}

/** Name servers that glibc looks at; resolv.conf(5). */
const MAX_NAME_SERVERS = 3;

/** The resolver's configuration; resolv.conf(5). */
export function resolvConf({ nameServers, search }: Lease): string {
  const lines = [
    ...(search.length > 0 ? [`search ${search.join(" ")}`] : []),
    ...nameServers.slice(0, MAX_NAME_SERVERS).map((server) => `nameserver ${server}`),
  ];
  return lines.map((line) => `${line}\n`).join("");
}
