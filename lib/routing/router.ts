/**
 * The router: which way a destination goes. Pure; names are never resolved.
 *
 * @module
 */

import { AwsocksError, type Target } from "../core/mod.ts";
import { networkOf } from "./address.ts";
import { type Host, parseHost } from "./host.ts";
import {
  compareSpecificity,
  formatPattern,
  matchPattern,
  parsePattern,
  type Pattern,
} from "./pattern.ts";
import type { Decision, Route, RoutingRules } from "./types.ts";

/** A pattern with the list it stands in. */
export interface Rule {
  readonly pattern: Pattern;
  readonly route: Route;
}

/** Decides by pattern lists; make one with {@linkcode createRouter}. */
export interface Router {
  /** Route of what no pattern matches. */
  readonly default: Route;
  /** Decides one destination. Never throws: a host that can be no host is blocked. */
  route(target: Target): Decision;
  /** Every rule that covers the destination, the deciding one first. */
  matches(host: Host, port: number | undefined): Iterable<Rule>;
}

/** Which route wins between patterns that are equally specific, first to last. */
const PRECEDENCE: readonly Route[] = ["block", "vm-direct", "direct", "proxy"];

/** Orders rules: the one that decides comes first. The order of the lists plays no part. */
export function compareRules(a: Rule, b: Rule): number {
  return compareSpecificity(a.pattern, b.pattern) ||
    PRECEDENCE.indexOf(a.route) - PRECEDENCE.indexOf(b.route) ||
    compareText(formatPattern(a.pattern), formatPattern(b.pattern)) ||
    compareText(a.pattern.text, b.pattern.text);
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/**
 * Makes a router.
 * @throws AwsocksError `config-invalid` naming every pattern that does not parse
 */
export function createRouter(rules: RoutingRules): Router {
  const index = new RuleIndex(parseRules(rules));
  return {
    default: rules.default,
    matches: (host, port) => index.matches(host, port),
    route(target) {
      const host = parseHost(target.host);
      if (!host) {
        const reason = "neither a host name nor an address";
        return { route: "block", explicit: true, reason, target };
      }
      const dial = { host: host.dial, port: target.port };
      for (const { pattern: { text }, route } of index.matches(host, target.port)) {
        const reason = `matches the ${route} pattern ${JSON.stringify(text)}`;
        return { route, pattern: text, explicit: true, reason, target: dial };
      }
      const reason = `no pattern matches, and the default is ${rules.default}`;
      return { route: rules.default, explicit: false, reason, target: dial };
    },
  };
}

/** A {@linkcode Decision} with everything that had a say in it. */
export interface Explanation {
  readonly decision: Decision;
  /** Every pattern that covers the destination, the deciding one first. */
  readonly matches: readonly {
    readonly pattern: string;
    readonly route: Route;
    readonly kind: Pattern["kind"];
  }[];
}

/** Decides and lists every matching pattern in order of precedence, for `awsocks route HOST[:PORT]`. */
export function explainRoute(router: Router, target: Target): Explanation {
  const host = parseHost(target.host);
  const rules = host ? [...router.matches(host, target.port)] : [];
  return {
    decision: router.route(target),
    matches: rules.map(({ pattern, route }) => ({
      pattern: pattern.text,
      route,
      kind: pattern.kind,
    })),
  };
}

function parseRules(rules: RoutingRules): Rule[] {
  const lists: [key: string, route: Route, patterns: readonly string[]][] = [
    ["routing.proxy", "proxy", rules.proxy],
    ["routing.direct", "direct", rules.direct],
    ["routing.vm-direct", "vm-direct", rules.vmDirect],
    ["routing.block", "block", rules.block],
  ];
  const problems: string[] = [];
  const parsed = lists.flatMap(([key, route, patterns]) =>
    patterns.flatMap((text): Rule[] => {
      try {
        return [{ pattern: parsePattern(text), route }];
      } catch (error) {
        if (!(error instanceof SyntaxError)) throw error;
        problems.push(`${key}: pattern ${JSON.stringify(text)}: ${error.message}`);
        return [];
      }
    })
  );
  if (problems.length > 0) throw new AwsocksError("config-invalid", problems.join("\n"));
  return parsed;
}

/** Rules where a lookup finds them without trying each: only globs are tried one by one. */
class RuleIndex {
  /** Names and addresses by canonical text. */
  readonly #exact = new Map<string, Rule[]>();
  readonly #suffixes = new Map<string, Rule[]>();
  /** Longest network first; within a length by its first address. */
  readonly #networks: { family: 4 | 6; bits: number; rules: Map<bigint, Rule[]> }[] = [];
  /** Globs and `*`, in order of precedence. */
  readonly #globs: Rule[] = [];

  constructor(rules: readonly Rule[]) {
    // Sorted once, every bucket is in order of precedence.
    for (const rule of rules.toSorted(compareRules)) this.#add(rule);
  }

  #add(rule: Rule): void {
    const { pattern } = rule;
    switch (pattern.kind) {
      case "exact":
        return push(this.#exact, pattern.name, rule);
      case "address":
        return push(this.#exact, pattern.address.text, rule);
      case "suffix":
        return push(this.#suffixes, pattern.domain, rule);
      case "cidr": {
        const { network: { family, value }, bits } = pattern;
        const same = (level: { family: 4 | 6; bits: number }) =>
          level.family === family && level.bits === bits;
        let level = this.#networks.find(same);
        if (!level) this.#networks.push(level = { family, bits, rules: new Map() });
        return push(level.rules, value, rule);
      }
      case "glob":
      case "any":
        this.#globs.push(rule);
    }
  }

  /** In order of precedence, as {@linkcode compareRules} would sort them. */
  *matches(host: Host, port: number | undefined): Generator<Rule> {
    for (const rule of this.#candidates(host)) {
      if (matchPattern(rule.pattern, host, port)) yield rule;
    }
  }

  *#candidates(host: Host): Generator<Rule> {
    const { text, address } = host;
    yield* this.#exact.get(text) ?? [];
    if (address) {
      for (const { family, bits, rules } of this.#networks) {
        if (family === address.family) yield* rules.get(networkOf(address, bits).value) ?? [];
      }
    } else if (this.#suffixes.size > 0) {
      for (let at = 0;; at++) {
        yield* this.#suffixes.get(text.slice(at)) ?? [];
        at = text.indexOf(".", at);
        if (at < 0) break;
      }
    }
    yield* this.#globs;
  }
}

function push<K>(map: Map<K, Rule[]>, key: K, rule: Rule): void {
  const bucket = map.get(key);
  if (bucket) bucket.push(rule);
  else map.set(key, [rule]);
}
