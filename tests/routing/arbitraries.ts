/**
 * Random patterns and hosts that often meet: few labels, few networks.
 *
 * @module
 */

import fc from "fast-check";
import { parseHost } from "../../lib/routing/host.ts";
import type { Host, Route, RoutingRules } from "../../lib/routing/mod.ts";

const label = fc.constantFrom("a", "b", "dev-1", "example", "com");
const name = fc.array(label, { minLength: 1, maxLength: 4 }).map((labels) => labels.join("."));
const octet = fc.constantFrom("0", "1", "10");
const ipv4 = fc.tuple(octet, octet, octet, octet).map((octets) => octets.join("."));
const ipv6 = fc.tuple(octet, octet).map(([a, b]) => `fd00:${a}::${b}`);

/** A host that patterns of {@linkcode anyPattern} often match. */
export const anyHostText = fc.oneof(name, ipv4, ipv6);

/** The same, parsed. */
export const anyHost: fc.Arbitrary<Host> = anyHostText.map((text) => parseHost(text)!);

/** A port that patterns of {@linkcode anyPattern} often name. */
export const anyPort = fc.constantFrom(22, 443, 8080);

const bare = fc.oneof(
  name,
  ipv4,
  name.map((text) => `*.${text}`),
  fc.tuple(ipv4, fc.constantFrom(0, 8, 9, 16, 31, 32)).map(([ip, bits]) => `${ip}/${bits}`),
  fc.constantFrom("*", "**", "10.*", "10.0.*", "dev-*", "*e*", "?", "*.c?m", "10.?.0.*", "fd00-*"),
);
const bracketed = fc.oneof(
  ipv6,
  fc.tuple(ipv6, fc.constantFrom(0, 8, 32, 128)).map(([ip, bits]) => `${ip}/${bits}`),
);

/** A valid pattern of any kind. */
export const anyPattern: fc.Arbitrary<string> = fc.oneof(
  bare,
  bracketed,
  fc.tuple(bare, anyPort).map(([text, port]) => `${text}:${port}`),
  fc.tuple(bracketed, anyPort).map(([text, port]) => `[${text}]:${port}`),
);

const list = fc.array(anyPattern, { maxLength: 8 });

/** Rules with patterns in every list. */
export const anyRules: fc.Arbitrary<RoutingRules> = fc.record({
  default: fc.constantFrom<Route>("proxy", "direct", "vm-direct", "block"),
  proxy: list,
  direct: list,
  vmDirect: list,
  block: list,
});
