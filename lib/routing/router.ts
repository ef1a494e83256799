/**
 * The router: which way a destination goes. Pure; names are never resolved.
 *
 * @module
 */

import { AwsocksError } from "../core/errors.ts";
import type { Target } from "../core/target.ts";
import { type Host, parseHost } from "./host.ts";
import { parsePattern } from "./parse_pattern.ts";
import type { Pattern } from "./pattern.ts";
import { type Rule, RuleIndex } from "./rules.ts";
import type { Decision, Route, RoutingRules } from "./types.ts";

/** Decides by pattern lists; make one with {@linkcode createRouter}. */
export interface Router {
  /** Route of what no pattern matches. */
  readonly default: Route;
  /** Decides one destination. Never throws: a host that can be no host is blocked. */
  route(target: Target): Decision;
  /** Every rule that covers the destination, the deciding one first. */
  matches(host: Host, port: number | undefined): Iterable<Rule>;
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
