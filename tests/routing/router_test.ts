import assert from "node:assert/strict";
import fc from "fast-check";
import { isAwsocksError } from "../../lib/core/mod.ts";
import { parseHost } from "../../lib/routing/host.ts";
import { parsePattern } from "../../lib/routing/parse_pattern.ts";
import { matchPattern } from "../../lib/routing/pattern.ts";
import { createRouter, explainRoute } from "../../lib/routing/router.ts";
import { compareRules } from "../../lib/routing/rules.ts";
import type { Route, RoutingRules } from "../../lib/routing/mod.ts";
import { anyHostText, anyPort, anyRules } from "./arbitraries.ts";

function rules(some: Partial<RoutingRules>): RoutingRules {
  return { default: "direct", proxy: [], direct: [], vmDirect: [], block: [], ...some };
}

function routeOf(some: Partial<RoutingRules>, host: string, port = 443): Route {
  return createRouter(rules(some)).route({ host, port }).route;
}

Deno.test("route() lets the most specific pattern win, whichever list it stands in", () => {
  const some: Partial<RoutingRules> = {
    default: "block",
    proxy: ["*.corp.example", "10.0.0.0/8", "a.b.corp.example"],
    direct: ["*.b.corp.example", "10.1.0.0/16", "*"],
    block: ["secret.corp.example", "10.1.2.3", "*.corp.example:25"],
  };
  assert.equal(routeOf(some, "corp.example"), "proxy");
  assert.equal(routeOf(some, "x.corp.example."), "proxy");
  assert.equal(routeOf(some, "x.corp.example", 25), "block");
  assert.equal(routeOf(some, "x.b.corp.example"), "direct");
  assert.equal(routeOf(some, "A.B.corp.example"), "proxy");
  assert.equal(routeOf(some, "secret.corp.example"), "block");
  assert.equal(routeOf(some, "10.9.9.9"), "proxy");
  assert.equal(routeOf(some, "10.1.9.9"), "direct");
  assert.equal(routeOf(some, "10.1.2.3"), "block");
  assert.equal(routeOf(some, "elsewhere.example"), "direct");
});

Deno.test("route() gives a tie to block, then vm-direct, then direct, then proxy", () => {
  const all = { proxy: ["a"], direct: ["a"], vmDirect: ["a"], block: ["A."] };
  assert.equal(routeOf(all, "a"), "block");
  assert.equal(routeOf({ ...all, block: [] }, "a"), "vm-direct");
  assert.equal(routeOf({ ...all, block: [], vmDirect: [] }, "a"), "direct");
  assert.equal(routeOf({ proxy: ["a"], default: "block" }, "a"), "proxy");
  // A pattern with a port beats the tie: it is the more specific one.
  assert.equal(routeOf({ proxy: ["a:443"], block: ["a"] }, "a"), "proxy");
});

Deno.test("route() cannot be dodged by another spelling of a blocked host", () => {
  const blocked = { block: ["127.0.0.0/8", "::1", "*.ads.example"] };
  const spellings = ["0x7f.1", "2130706433", "127.1", "017700000001", "::ffff:127.0.0.1"];
  for (const host of [...spellings, "[0:0::1]", "127.0.0.1.", "１２７.１", "X.ADS.EXAMPLE."]) {
    assert.equal(routeOf(blocked, host), "block", host);
  }
});

Deno.test("route() blocks what can be no host, whatever the default", () => {
  for (const host of ["", "a b", "ads.example\0", "1.2.3.4.5"]) {
    const decision = createRouter(rules({ proxy: ["*"] })).route({ host, port: 1 });
    assert.deepEqual([decision.route, decision.explicit], ["block", true]);
    assert.match(decision.reason, /neither a host name nor an address/);
  }
});

Deno.test("route() says which pattern decided, why, and what to dial", () => {
  const router = createRouter(rules({ proxy: ["*.Corp.example"] }));
  assert.deepEqual(router.route({ host: "DB.corp.example.", port: 5432 }), {
    route: "proxy",
    pattern: "*.Corp.example",
    explicit: true,
    reason: 'matches the proxy pattern "*.Corp.example"',
    target: { host: "db.corp.example.", port: 5432 },
  });
  assert.deepEqual(router.route({ host: "0x7f.1", port: 80 }), {
    route: "direct",
    explicit: false,
    reason: "no pattern matches, and the default is direct",
    target: { host: "127.0.0.1", port: 80 },
  });
});

Deno.test("createRouter() names every pattern that does not parse", () => {
  assert.throws(
    () => createRouter(rules({ proxy: ["ok", "a b"], vmDirect: ["10.0.0.0/99"] })),
    (error) => {
      assert.ok(isAwsocksError(error, "config-invalid"));
      const lines = error.message.split("\n");
      assert.equal(lines.length, 2);
      assert.match(lines[0]!, /^routing\.proxy: pattern "a b": /);
      assert.match(lines[1]!, /^routing\.vm-direct: pattern "10\.0\.0\.0\/99": /);
      return true;
    },
  );
});

Deno.test("explainRoute() lists every match, the deciding one first", () => {
  const router = createRouter(rules({
    proxy: ["*.example.com", "*"],
    direct: ["www.example.com", "example.org", "w*"],
    block: ["*.example.com:80"],
  }));
  const explanation = explainRoute(router, { host: "www.example.com", port: 80 });
  assert.equal(explanation.decision.pattern, "www.example.com");
  assert.deepEqual(explanation.matches, [
    { pattern: "www.example.com", route: "direct", kind: "exact" },
    { pattern: "*.example.com:80", route: "block", kind: "suffix" },
    { pattern: "*.example.com", route: "proxy", kind: "suffix" },
    { pattern: "w*", route: "direct", kind: "glob" },
    { pattern: "*", route: "proxy", kind: "any" },
  ]);
  assert.deepEqual(explainRoute(router, { host: "a b", port: 80 }).matches, []);
});

/** What {@linkcode createRouter} must agree with: try every pattern, sort what matches. */
function oracle(all: RoutingRules, text: string, port: number): string[] {
  const host = parseHost(text)!;
  const lists = {
    proxy: all.proxy,
    direct: all.direct,
    "vm-direct": all.vmDirect,
    block: all.block,
  };
  return Object.entries(lists)
    .flatMap(([route, patterns]) =>
      patterns.map((pattern) => ({ route: route as Route, pattern: parsePattern(pattern) }))
    )
    .filter((rule) => matchPattern(rule.pattern, host, port))
    .sort(compareRules)
    .map((rule) => `${rule.route} ${rule.pattern.text}`);
}

Deno.test("createRouter() finds exactly the rules that a search of all would", () => {
  fc.assert(
    fc.property(anyRules, anyHostText, anyPort, (all, host, port) => {
      const router = createRouter(all);
      const { matches, decision } = explainRoute(router, { host, port });
      const found = matches.map((match) => `${match.route} ${match.pattern}`);
      assert.deepEqual(found, oracle(all, host, port));
      assert.equal(decision.route, matches[0]?.route ?? all.default);
      assert.equal(decision.explicit, matches.length > 0);
    }),
    { numRuns: 2000 },
  );
});

Deno.test("route() does not depend on the order of patterns in the lists", () => {
  const shuffled = anyRules.chain((all) =>
    fc.record({
      all: fc.constant(all),
      mixed: fc.record({
        default: fc.constant(all.default),
        proxy: shuffle(all.proxy),
        direct: shuffle(all.direct),
        vmDirect: shuffle(all.vmDirect),
        block: shuffle(all.block),
      }),
    })
  );
  fc.assert(fc.property(shuffled, anyHostText, anyPort, ({ all, mixed }, host, port) => {
    const target = { host, port };
    assert.deepEqual(createRouter(mixed).route(target), createRouter(all).route(target));
  }));
});

function shuffle(list: readonly string[]): fc.Arbitrary<string[]> {
  return fc.shuffledSubarray([...list], { minLength: list.length, maxLength: list.length });
}

Deno.test("route() takes about constant time with 10,000 patterns", () => {
  const numbers = Array.from({ length: 2500 }, (_, i) => i);
  const router = createRouter(rules({
    proxy: numbers.map((i) => `host-${i}.example.com`),
    direct: numbers.map((i) => `*.zone-${i}.example.org`),
    block: numbers.map((i) => `10.${i >> 8}.${i & 255}.0/24`),
    vmDirect: numbers.map((i) => `192.168.${i >> 8}.${i & 255}:22`),
  }));
  const hosts = ["host-77.example.com", "a.b.zone-9.example.org", "10.3.7.1", "no.match.example"];
  const lookups = 20_000;
  const start = performance.now();
  for (let i = 0; i < lookups; i++) router.route({ host: hosts[i % 4]!, port: 443 });
  const perSecond = lookups / (performance.now() - start) * 1000;
  // A linear search manages about 3,000; the bound leaves room for a busy machine.
  assert.ok(perSecond > 30_000, `${Math.round(perSecond)} lookups/s`);
});
