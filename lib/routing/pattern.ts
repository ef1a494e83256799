/**
 * Patterns of the routing lists: what they mean and which is more specific. `parse_pattern.ts` reads them.
 *
 * | pattern | kind | matches |
 * |---|---|---|
 * | `db.example.com` | exact | that name |
 * | `10.1.2.3`, `fd00::1` | address | that address, however a client writes it |
 * | `10.0.0.0/8`, `10.*`, `fd00::/8` | cidr | address literals in the network; names are not resolved |
 * | `*.example.com` | suffix | `example.com` and every name below it |
 * | `dev-*.example.com`, `web-?` | glob | `*` any characters, dots too; `?` one character |
 * | `*` | any | everything |
 *
 * Each may end in `:port` (`*.example.com:443`, `[fd00::1]:22`, `[fd00::/8]:22`).
 *
 * @module
 */

import { type IpAddress, networkOf } from "./address.ts";
import { matchGlob } from "./glob.ts";
import type { Host } from "./host.ts";

/** What a pattern says of the host. */
export type HostPattern =
  | { readonly kind: "exact"; readonly name: string }
  | { readonly kind: "address"; readonly address: IpAddress }
  | { readonly kind: "cidr"; readonly network: IpAddress; readonly bits: number }
  | { readonly kind: "suffix"; readonly domain: string }
  | { readonly kind: "glob"; readonly glob: string }
  | { readonly kind: "any" };

/** A parsed pattern. */
export type Pattern = HostPattern & {
  /** As it was written. */
  readonly text: string;
  /** Present when the pattern holds for one port only. */
  readonly port?: number;
};

/** The canonical spelling: equal for patterns that mean the same. */
export function formatPattern(pattern: Pattern): string {
  const host = formatHost(pattern);
  if (pattern.port === undefined) return host;
  return host.includes(":") ? `[${host}]:${pattern.port}` : `${host}:${pattern.port}`;
}

/** True if the pattern covers the destination. */
export function matchPattern(pattern: Pattern, host: Host, port: number | undefined): boolean {
  if (pattern.port !== undefined && pattern.port !== port) return false;
  const { text, address } = host;
  switch (pattern.kind) {
    case "any":
      return true;
    case "exact":
      return !address && text === pattern.name;
    case "address":
      return text === pattern.address.text;
    case "cidr":
      return address?.family === pattern.network.family &&
        networkOf(address, pattern.bits).value === pattern.network.value;
    case "suffix":
      return !address && (text === pattern.domain || text.endsWith(`.${pattern.domain}`));
    case "glob":
      return matchGlob(pattern.glob, text);
  }
}

/**
 * Orders patterns by how specific they are: exact host or address, then longer suffix or network, then
 * glob with more literal characters, `*` last; at the same level a pattern with a port goes first.
 * @returns negative if `a` is more specific, 0 if neither is
 */
export function compareSpecificity(a: Pattern, b: Pattern): number {
  const [left, right] = [specificity(a), specificity(b)];
  for (const [index, value] of left.entries()) {
    if (value !== right[index]) return right[index]! - value;
  }
  return 0;
}

function specificity(pattern: Pattern): readonly number[] {
  const port = pattern.port === undefined ? 0 : 1;
  switch (pattern.kind) {
    case "exact":
    case "address":
      return [3, 0, 0, port];
    case "cidr":
      return [2, pattern.bits, 0, port];
    case "suffix":
      return [2, pattern.domain.split(".").length, 0, port];
    case "glob": {
      const singles = pattern.glob.split("?").length - 1;
      const stars = pattern.glob.split("*").length - 1;
      return [1, pattern.glob.length - singles - stars, singles, port];
    }
    case "any":
      return [0, 0, 0, port];
  }
}

function formatHost(pattern: HostPattern): string {
  switch (pattern.kind) {
    case "exact":
      return pattern.name;
    case "address":
      return pattern.address.text;
    case "cidr":
      return `${pattern.network.text}/${pattern.bits}`;
    case "suffix":
      return `*.${pattern.domain}`;
    case "glob":
      return pattern.glob;
    case "any":
      return "*";
  }
}
