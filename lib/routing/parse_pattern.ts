/**
 * Reads patterns. What could only be a mistake is refused, because a rule that never matches is a rule
 * that silently does not protect.
 *
 * @module
 */

import { bitsOf, networkOf, parseIpv4, parseIpv4Strict, parseIpv6 } from "./address.ts";
import { ENDS_IN_NUMBER, toAscii } from "./host.ts";
import type { HostPattern, Pattern } from "./pattern.ts";

/**
 * Parses a pattern.
 * @throws SyntaxError with the reason, which does not repeat the pattern
 */
export function parsePattern(text: string): Pattern {
  const [host, port] = splitPort(text);
  const pattern = { ...parseHostPattern(host), text };
  return port === undefined ? pattern : { ...pattern, port };
}

function splitPort(text: string): [host: string, port: number | undefined] {
  const bracketed = /^\[([^[\]]*)\](?::(.*))?$/s.exec(text);
  if (bracketed) {
    const host = bracketed[1]!;
    if (!host.includes(":")) throw new SyntaxError("only IPv6 addresses stand in brackets");
    return [host, bracketed[2] === undefined ? undefined : parsePort(bracketed[2])];
  }
  if (text.includes("://")) throw new SyntaxError("a pattern is a host, not a URL");
  const colon = text.indexOf(":");
  // More than one colon: an IPv6 address or network without a port.
  if (colon < 0 || text.includes(":", colon + 1)) return [text, undefined];
  return [text.slice(0, colon), parsePort(text.slice(colon + 1))];
}

function parsePort(text: string): number {
  const port = /^[1-9]\d{0,4}$/.test(text) ? Number(text) : 0;
  if (port < 1 || port > 65535) throw new SyntaxError("the port is not a number from 1 to 65535");
  return port;
}

function parseHostPattern(text: string): HostPattern {
  if (text === "") throw new SyntaxError("the host is empty (`*` stands for all)");
  const slash = text.indexOf("/");
  if (slash >= 0) return parseCidr(text.slice(0, slash), text.slice(slash + 1));
  if (text.includes(":")) {
    const address = parseIpv6(text);
    if (!address) {
      throw new SyntaxError("not an IPv6 address (a port needs brackets, a range `/bits`)");
    }
    return { kind: "address", address };
  }
  return text.includes("*") || text.includes("?") ? parseWildcard(text) : parseExact(text);
}

function parseCidr(literal: string, prefix: string): HostPattern {
  const address = literal.includes(":") ? parseIpv6(literal) : parseIpv4Strict(literal);
  if (!address) {
    throw new SyntaxError("not a network: an address such as 10.0.0.0 goes before the /");
  }
  // A mapped network (::ffff:10.0.0.0/104) counts its bits as IPv6.
  const mapped = address.family === 4 && literal.includes(":");
  const most = mapped ? 128 : bitsOf(address.family);
  const least = mapped ? 96 : 0;
  const written = /^\d{1,3}$/.test(prefix) ? Number(prefix) : -1;
  if (written < least || written > most) {
    throw new SyntaxError(`the network's length is not a number from ${least} to ${most}`);
  }
  const bits = written - least;
  return { kind: "cidr", network: networkOf(address, bits), bits };
}

function parseExact(text: string): HostPattern {
  const name = parseLabels(text);
  const address = parseIpv4(name);
  if (address) {
    if (address.text !== text) {
      // Programs disagree on such spellings: 010.0.0.1 is 8.0.0.1 to one and 10.0.0.1 to another.
      throw new SyntaxError(`an unusual way to write ${address.text}; write that`);
    }
    return { kind: "address", address };
  }
  if (ENDS_IN_NUMBER.test(name)) throw new SyntaxError("not an IPv4 address");
  return { kind: "exact", name };
}

function parseWildcard(text: string): HostPattern {
  if (/^[\d.]+(?:\.\*){1,3}$/.test(text)) return parseOctets(text);
  const glob = parseLabels(text).replaceAll(/\*+/g, "*");
  if (glob === "*") return { kind: "any" };
  const domain = glob.slice(2);
  // A glob whose last label is a number is about addresses, which have no parent domain.
  if (glob.startsWith("*.") && !/[*?]/.test(domain) && !ENDS_IN_NUMBER.test(domain)) {
    return { kind: "suffix", domain };
  }
  return { kind: "glob", glob };
}

/** `10.*`, `10.0.*.*`: whole octets, so it is a network. */
function parseOctets(text: string): HostPattern {
  const octets = text.split(".").filter((octet) => octet !== "*");
  const padded = [...octets, "0", "0", "0"].slice(0, 4).join(".");
  const network = text.split(".").length <= 4 ? parseIpv4Strict(padded) : undefined;
  if (!network) throw new SyntaxError("not a range of IPv4 addresses such as 10.0.*");
  return { kind: "cidr", network, bits: 8 * octets.length };
}

/** A name, wildcards allowed, in lower-case A-labels without final dot. */
function parseLabels(text: string): string {
  if (text.startsWith(".")) {
    throw new SyntaxError(`a leading dot means nothing here; write *${text}`);
  }
  const wild = /[*?]/.test(text);
  const labels = wild ? text.split(".").map(wildLabel) : ascii(text).split(".");
  if (labels.at(-1) === "" && labels.length > 1) labels.pop();
  for (const label of labels) {
    if (label === "") throw new SyntaxError("a label is empty");
    if (label.length > 63) throw new SyntaxError("a label is longer than 63 characters");
    const stray = /[^a-z0-9_*?-]/.exec(label);
    if (stray) throw new SyntaxError(`${JSON.stringify(stray[0])} cannot be in a host name`);
  }
  const name = labels.join(".");
  if (name.length > 253) throw new SyntaxError("the name is longer than 253 characters");
  return name;
}

function wildLabel(label: string): string {
  if (/[*?]/.test(label)) {
    if (/[^\0-\x7f]/.test(label)) {
      throw new SyntaxError("a wildcard inside an internationalised label; write its xn-- form");
    }
    return label.toLowerCase();
  }
  return ascii(label);
}

function ascii(name: string): string {
  const converted = toAscii(name);
  if (converted === "" && name !== "") {
    throw new SyntaxError("not an internationalised name that IDNA allows");
  }
  return converted;
}
