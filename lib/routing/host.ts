/**
 * Destination hosts in one spelling, so that no pattern can be dodged by writing a host differently.
 *
 * @module
 */

import { type IpAddress, parseIpv4, parseIpv6 } from "./address.ts";

/** A host in canonical spelling. */
export interface Host {
  /** What patterns are compared with: an address, or a lower-case name of A-labels without final dot. */
  readonly text: string;
  /** Present when the host is an address, however it was written. */
  readonly address?: IpAddress;
  /**
   * What to dial. Like `text`, but a name keeps its final dot (it tells the resolver to skip its search
   * list) and a link-local address its zone.
   */
  readonly dial: string;
}

/** The URL Standard's "forbidden domain code points". */
const FORBIDDEN = /[\0-\x20\x7f#%/:<>?@[\\\]^|]/;

/** The URL Standard's "ends in a number": such a lower-case name is an IPv4 address or nothing. */
export const ENDS_IN_NUMBER = /(?:^|\.)(?:\d+|0x[0-9a-f]*)$/;

/** Hosts parsed lately: a connection asks several times, and the next one often for the same. */
const known = new Map<string, Host | undefined>();
/** Hosts that are remembered, and characters of the longest of them. */
const MEMORY = { hosts: 512, characters: 255 };

/**
 * Brings a host into canonical spelling: letter case, final dots, internationalised names (to A-labels,
 * UTS #46), brackets and zones, every way to write an IPv4 or IPv6 address.
 *
 * @param text as a client named it
 * @returns undefined for what can be neither a name nor an address
 */
export function parseHost(text: string): Host | undefined {
  const host = known.get(text);
  if (host || known.has(text)) return host;
  const parsed = parseAnyHost(text);
  if (text.length <= MEMORY.characters) {
    if (known.size >= MEMORY.hosts) known.clear();
    known.set(text, parsed);
  }
  return parsed;
}

function parseAnyHost(text: string): Host | undefined {
  const bare = text.startsWith("[") && text.endsWith("]") ? text.slice(1, -1) : text;
  if (bare.includes(":")) return parseIpv6Host(bare);
  return bare === text ? parseName(text) : undefined;
}

function parseIpv6Host(text: string): Host | undefined {
  const [, literal = "", zone] = /^([^%]*)(?:%([\w.~-]+))?$/.exec(text) ?? [];
  const address = parseIpv6(literal);
  if (!address) return undefined;
  const dial = zone && address.family === 6 ? `${address.text}%${zone}` : address.text;
  return { text: address.text, address, dial };
}

function parseName(text: string): Host | undefined {
  const ascii = toAscii(text);
  const name = ascii.replace(/\.+$/, "");
  if (name === "" || FORBIDDEN.test(name)) return undefined;
  const address = parseIpv4(name);
  if (address) return { text: address.text, address, dial: address.text };
  if (ENDS_IN_NUMBER.test(name)) return undefined;
  return { text: name, dial: ascii.endsWith(".") ? `${name}.` : name };
}

/** The name in lower-case A-labels; empty when it has no such form. */
export function toAscii(name: string): string {
  // A name in ASCII stays as it is: private zones hold labels that IDNA would refuse.
  if (/^[\0-\x7f]*$/.test(name)) return name.toLowerCase();
  // Checked first, because the URL parser would read these as something other than a part of the name.
  if (FORBIDDEN.test(name)) return "";
  return URL.parse(`http://${name}`)?.hostname ?? "";
}
