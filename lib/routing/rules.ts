/**
 * Rules in order of precedence, and an index that finds the ones of a destination without trying all.
 *
 * @module
 */

import { networkOf } from "./address.ts";
import type { Host } from "./host.ts";
import { compareSpecificity, formatPattern, matchPattern, type Pattern } from "./pattern.ts";
import type { Route } from "./types.ts";

/** A pattern with the list it stands in. */
export interface Rule {
  readonly pattern: Pattern;
  readonly route: Route;
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

/** Rules where a lookup finds them without trying each: only globs are tried one by one. */
export class RuleIndex {
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
