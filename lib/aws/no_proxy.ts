/**
 * Which hosts are reached without the proxy: loopback, and what `NO_PROXY` lists.
 *
 * Follows curl: entries separated by commas or spaces; `*` alone means all; a name covers itself and
 * everything below it, with or without a leading dot; addresses match literally or by CIDR prefix.
 * Beyond curl: `*.name` is read as `.name`, an entry may end in `:port`, and loopback is never
 * proxied, as in Go and in AWS's own plugin.
 *
 * @module
 */

/** A host and port to look up; IPv6 literals with or without brackets. */
export type NoProxyMatcher = (host: string, port: number) => boolean;

/** Compiles the value of `NO_PROXY`. Entries that make no sense match nothing. */
export function parseNoProxy(value: string): NoProxyMatcher {
  const entries = value.split(/[\s,]+/).filter(Boolean).map(parseEntry);
  return (host, port) => {
    const name = normalise(host);
    const address = parseAddress(name);
    return isLoopback(name, address) || entries.some((entry) => entry(name, address, port));
  };
}

type Entry = (name: string, address: Address | undefined, port: number) => boolean;

function parseEntry(text: string): Entry {
  if (text === "*") return () => true;
  const { host, port } = splitPort(text);
  const matches = parseHost(host);
  return (name, address, at) => (port === undefined || port === at) && matches(name, address);
}

function parseHost(text: string): (name: string, address: Address | undefined) => boolean {
  const [base = "", length, ...rest] = text.split("/");
  const network = parseAddress(normalise(base));
  if (network) {
    const bits = length === undefined ? network.bits : Number(length || NaN);
    if (rest.length > 0 || !Number.isInteger(bits) || bits < 0 || bits > network.bits) {
      return () => false;
    }
    const shift = BigInt(network.bits - bits);
    return (_name, address) =>
      address?.bits === network.bits && address.value >> shift === network.value >> shift;
  }
  const suffix = normalise(text).replace(/^(\*?\.)+/, "");
  if (suffix === "" || text.includes("/")) return () => false;
  return (name) => name === suffix || name.endsWith(`.${suffix}`);
}

/** A colon starts a port only if the rest cannot be part of an IPv6 literal. */
function splitPort(text: string): { host: string; port?: number } {
  const match = /^(\[[^\]]*\]|[^:]*):(\d+)$/.exec(text);
  return match ? { host: match[1]!, port: Number(match[2]) } : { host: text };
}

/** An address as one number: 32 bits for IPv4, 128 for IPv6. */
interface Address {
  readonly bits: 32 | 128;
  readonly value: bigint;
}

function parseAddress(name: string): Address | undefined {
  if (name.includes(":")) {
    const url = `http://[${name}]/`;
    return URL.canParse(url) ? parseIpv6(new URL(url).hostname.slice(1, -1)) : undefined;
  }
  const octets = name.split(".");
  if (octets.length !== 4 || !octets.every((octet) => /^\d{1,3}$/.test(octet) && +octet < 256)) {
    return undefined;
  }
  return { bits: 32, value: octets.reduce((sum, octet) => sum << 8n | BigInt(octet), 0n) };
}

/** Reads the canonical form that URL gives: lower-case groups, at most one `::`, no dots. */
function parseIpv6(canonical: string): Address {
  const [head = "", tail] = canonical.split("::");
  const left = head.split(":").filter(Boolean);
  const right = (tail ?? "").split(":").filter(Boolean);
  const zeros = Array<string>(8 - left.length - right.length).fill("0");
  const groups = [...left, ...zeros, ...right];
  return {
    bits: 128,
    value: groups.reduce((sum, group) => sum << 16n | BigInt(`0x${group}`), 0n),
  };
}

function isLoopback(name: string, address: Address | undefined): boolean {
  if (!address) return name === "localhost" || name.endsWith(".localhost");
  return address.bits === 32 ? address.value >> 24n === 127n : address.value === 1n;
}

/** Lower case, without brackets and without the dot of a fully qualified name. */
function normalise(host: string): string {
  return host.toLowerCase().replace(/^\[(.*)\]$/, "$1").replace(/\.$/, "");
}
