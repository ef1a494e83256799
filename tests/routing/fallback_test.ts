import assert from "node:assert/strict";
import { type ErrorCode, OUTCOMES } from "../../lib/core/mod.ts";
import {
  type Decision,
  effectiveRoute,
  fallbackRoute,
  type Route,
  type RouteQuestion,
  ROUTES,
  routingNotices,
} from "../../lib/routing/mod.ts";

const NO_WAY_THERE = ["destination-unreachable", "destination-network-unreachable"];
const MODES = ["direct", "vm"] as const;

Deno.test("fallbackRoute() leaves proxy only, and only where there is no way to the destination", () => {
  for (const errorCode of Object.keys(OUTCOMES) as ErrorCode[]) {
    for (const route of ROUTES) {
      for (const mode of MODES) {
        for (const enabled of [true, false]) {
          const expected = enabled && route === "proxy" && NO_WAY_THERE.includes(errorCode)
            ? { direct: "direct", vm: "vm-direct" }[mode]
            : undefined;
          const got = fallbackRoute({ route, errorCode, mode, enabled });
          assert.equal(got, expected, `${errorCode} ${route} ${mode} ${enabled}`);
        }
      }
    }
  }
});

function decision(route: Route, explicit: boolean): Decision {
  return { route, explicit, reason: "because", target: { host: "a", port: 1 } };
}

function ask(question: Partial<RouteQuestion>): string {
  const { action, route, detour } = effectiveRoute({
    decision: decision("proxy", false),
    backendState: "initializing",
    everActive: false,
    lazy: true,
    lazyUntilReady: "direct",
    mode: "direct",
    ...question,
  });
  return `${action} ${route}${detour ? " detour" : ""}`;
}

Deno.test("effectiveRoute() takes default hosts around a backend that was never up", () => {
  for (const backendState of ["idle", "initializing", "transitioning"] as const) {
    assert.equal(ask({ backendState }), "route direct detour");
    assert.equal(ask({ backendState, mode: "vm" }), "route vm-direct detour");
  }
});

Deno.test("effectiveRoute() makes everything else that is proxy wait", () => {
  for (const backendState of ["idle", "initializing", "transitioning"] as const) {
    for (const mode of MODES) {
      const explicit = { decision: decision("proxy", true), backendState, mode };
      assert.equal(ask(explicit), "wait proxy");
      assert.equal(ask({ backendState, mode, everActive: true }), "wait proxy");
      assert.equal(ask({ backendState, mode, lazy: false }), "wait proxy");
      assert.equal(ask({ backendState, mode, lazyUntilReady: "wait" }), "wait proxy");
    }
  }
});

Deno.test("effectiveRoute() sends proxy at once to a backend that is up or gone", () => {
  for (const everActive of [true, false]) {
    assert.equal(ask({ backendState: "active", everActive }), "route proxy");
    assert.equal(ask({ backendState: "closed", everActive }), "route proxy");
  }
});

Deno.test("effectiveRoute() leaves other routes alone in every state", () => {
  for (const backendState of ["idle", "initializing", "active", "closed"] as const) {
    for (const explicit of [true, false]) {
      for (const mode of MODES) {
        const of = (route: Route) =>
          ask({ decision: decision(route, explicit), backendState, mode });
        assert.equal(of("direct"), "route direct");
        assert.equal(of("block"), "route block");
        assert.equal(of("vm-direct"), mode === "vm" ? "route vm-direct" : "route block");
      }
    }
  }
});

Deno.test("effectiveRoute() says why", () => {
  const base = {
    backendState: "idle",
    everActive: false,
    lazy: true,
    lazyUntilReady: "direct",
    mode: "direct",
  } as const;
  const vm = effectiveRoute({ ...base, decision: decision("vm-direct", true) });
  assert.equal(vm.reason, 'because, and vm-direct needs `mode = "vm"`');
  const detour = effectiveRoute({ ...base, decision: decision("proxy", false) });
  assert.equal(detour.reason, "because, but the backend is not up yet, so it goes direct");
});

Deno.test("routingNotices() reports vm-direct without a VM", () => {
  const rules = { default: "proxy", proxy: [], direct: [], vmDirect: [], block: [] } as const;
  assert.deepEqual(routingNotices(rules, "direct"), []);
  assert.equal(routingNotices({ ...rules, vmDirect: ["a"] }, "direct").length, 1);
  assert.equal(routingNotices({ ...rules, default: "vm-direct" }, "direct").length, 1);
  assert.deepEqual(routingNotices({ ...rules, vmDirect: ["a"] }, "vm"), []);
});
