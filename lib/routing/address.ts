/**
 * IP addresses as numbers: parsing of every spelling that a resolver accepts, canonical text, networks.
 *
 * Text forms: RFC 4291 section 2.2 and RFC 5952 for IPv6; `inet_aton(3)` (one to four parts, each
 * decimal, octal or hexadecimal) for IPv4, because that is what `getaddrinfo` understands.
 *
 * @module
 */

/** An IP address. IPv4-mapped IPv6 addresses (`::ffff:a.b.c.d`) are IPv4: connections to them are. */
export interface IpAddress {
  readonly family: 4 | 6;
  /** The address as one number of 32 or 128 bits. */
  readonly value: bigint;
  /** Canonical text: dotted decimal, or RFC 5952 without brackets and zone. */
  readonly text: string;
}

/** Bits of an address. */
export function bitsOf(family: 4 | 6): 32 | 128 {
  return family === 4 ? 32 : 128;
}

const MAPPED_PREFIX = 0xffffn;

function ipv4(value: bigint): IpAddress {
  const octets = [24n, 16n, 8n, 0n].map((shift) => (value >> shift) & 0xffn);
  return { family: 4, value, text: octets.join(".") };
}

function ipv6(value: bigint): IpAddress {
  if (value >> 32n === MAPPED_PREFIX) return ipv4(value & 0xffff_ffffn);
  return { family: 6, value, text: formatIpv6(value) };
}

/** `a.b.c.d`, decimal without leading zeros: the one spelling that all programs read alike. */
export function parseIpv4Strict(text: string): IpAddress | undefined {
  const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text);
  if (!match) return undefined;
  let value = 0n;
  for (const octet of match.slice(1)) {
    if (Number(octet) > 255 || (octet.length > 1 && octet.startsWith("0"))) return undefined;
    value = value << 8n | BigInt(octet);
  }
  return ipv4(value);
}

/** Every spelling of `inet_aton(3)`: `127.1`, `0x7f.1`, `017700000001`, `2130706433`. */
export function parseIpv4(text: string): IpAddress | undefined {
  const parts = text.split(".");
  if (parts.length > 4) return undefined;
  const numbers: bigint[] = [];
  for (const part of parts) {
    if (/^0[0-7]+$/.test(part)) numbers.push(BigInt(`0o${part}`));
    else if (/^(?:0x[0-9a-f]+|0|[1-9]\d*)$/i.test(part)) numbers.push(BigInt(part));
    else return undefined;
  }
  const last = numbers.pop()!;
  if (numbers.some((number) => number > 255n)) return undefined;
  const lastBits = BigInt(8 * (4 - numbers.length));
  if (last >> lastBits !== 0n) return undefined;
  return ipv4(numbers.reduce((value, number) => value << 8n | number, 0n) << lastBits | last);
}

/** An IPv6 literal without brackets and zone. */
export function parseIpv6(text: string): IpAddress | undefined {
  const halves = text.split("::");
  if (halves.length > 2) return undefined;
  const head = groupsOf(halves[0]!, halves.length === 1);
  const tail = groupsOf(halves[1] ?? "", true);
  if (!head || !tail) return undefined;
  const missing = 8 - head.length - tail.length;
  // "::" stands for at least one group (RFC 5952 section 4.2.2 tells writers two; readers accept one).
  if (halves.length === 1 ? missing !== 0 : missing < 1) return undefined;
  const groups = [...head, ...Array<number>(missing).fill(0), ...tail];
  return ipv6(groups.reduce((value, group) => value << 16n | BigInt(group), 0n));
}

function groupsOf(text: string, mayEndInIpv4: boolean): number[] | undefined {
  if (text === "") return [];
  const parts = text.split(":");
  const groups: number[] = [];
  for (const [index, part] of parts.entries()) {
    if (/^[0-9a-f]{1,4}$/i.test(part)) {
      groups.push(parseInt(part, 16));
      continue;
    }
    const embedded = mayEndInIpv4 && index === parts.length - 1 && parseIpv4Strict(part);
    if (!embedded) return undefined;
    groups.push(Number(embedded.value >> 16n), Number(embedded.value & 0xffffn));
  }
  return groups;
}

/** RFC 5952: lower case, no leading zeros, the first longest run of two or more zero groups as `::`. */
function formatIpv6(value: bigint): string {
  const groups: string[] = [];
  for (let shift = 112n; shift >= 0n; shift -= 16n) {
    groups.push(((value >> shift) & 0xffffn).toString(16));
  }
  let best = { start: 0, length: 1 };
  for (let start = 0; start < 8; start++) {
    let length = 0;
    while (groups[start + length] === "0") length++;
    if (length > best.length) best = { start, length };
  }
  if (best.length < 2) return groups.join(":");
  const before = groups.slice(0, best.start).join(":");
  return `${before}::${groups.slice(best.start + best.length).join(":")}`;
}

/** The first address of the network of `bits` bits that holds `address`. */
export function networkOf(address: IpAddress, bits: number): IpAddress {
  const rest = BigInt(bitsOf(address.family) - bits);
  const value = address.value >> rest << rest;
  // Not through ipv6(): a network's first address must stay in its family.
  return address.family === 4 ? ipv4(value) : { family: 6, value, text: formatIpv6(value) };
}
