import assert from "node:assert/strict";
import {
  AwsocksError,
  describeError,
  type ErrorCode,
  ExitCode,
  explainError,
  isAwsocksError,
  outcomeOf,
  OUTCOMES,
  SocksReply,
  toAwsocksError,
} from "../../lib/core/mod.ts";

Deno.test("every code has a SOCKS reply of RFC 1928, an HTTP error status and a failing exit code", () => {
  const exits = new Set<number>(Object.values(ExitCode));
  for (const [code, outcome] of Object.entries(OUTCOMES)) {
    assert.ok(outcome.socks >= 1 && outcome.socks <= 8, code);
    assert.ok(outcome.http >= 400 && outcome.http <= 599, code);
    assert.ok(exits.has(outcome.exit) && outcome.exit !== ExitCode.Ok, code);
    assert.match(code, /^[a-z]+(-[a-z]+)*$/);
    assert.ok(!outcome.hint.endsWith("."), code);
  }
});

Deno.test("what a destination answered becomes the reply that the RFC has for it", () => {
  const replies: [ErrorCode, number][] = [
    ["destination-refused", SocksReply.ConnectionRefused],
    ["destination-unreachable", SocksReply.HostUnreachable],
    ["destination-name-unknown", SocksReply.HostUnreachable],
    ["destination-network-unreachable", SocksReply.NetworkUnreachable],
    ["destination-timeout", SocksReply.TtlExpired],
    ["route-blocked", SocksReply.NotAllowed],
    ["proxy-command-unsupported", SocksReply.CommandNotSupported],
    ["proxy-address-unsupported", SocksReply.AddressTypeNotSupported],
  ];
  for (const [code, reply] of replies) assert.equal(OUTCOMES[code].socks, reply, code);
});

Deno.test("a wrapper's outcome is that of its root cause", () => {
  const cause = new AwsocksError("destination-refused", "Refused");
  const error = new AwsocksError("backend-unavailable", "No way", { cause });
  assert.equal(error.outcome, OUTCOMES["destination-refused"]);
  assert.equal(outcomeOf(new AwsocksError("backend-unavailable", "No way")).socks, 3);
  assert.equal(outcomeOf(new Error("?")), OUTCOMES.internal);
});

Deno.test("toAwsocksError() keeps its own, knows aborts and time-outs, and wraps the rest", () => {
  const own = new AwsocksError("usage", "x");
  assert.equal(toAwsocksError(own), own);
  assert.equal(toAwsocksError(AbortSignal.abort().reason).code, "aborted");
  assert.equal(toAwsocksError(new DOMException("late", "TimeoutError")).code, "timeout");
  const wrapped = toAwsocksError(new Error("disk full"), "config-unreadable");
  assert.ok(isAwsocksError(wrapped, "config-unreadable", "usage"));
  assert.equal(wrapped.message, "disk full");
  assert.equal(toAwsocksError("text").message, "text");
});

Deno.test("a failure that only wraps another has the other's meaning", () => {
  const cause = new AwsocksError("agent-offline", "The agent is offline", {
    cause: new Error("ECONNRESET"),
  });
  const wrapped = new AwsocksError("backend-unavailable", "No way in", { cause });
  assert.equal(wrapped.rootCode, "agent-offline");
  assert.equal(wrapped.outcome, OUTCOMES["agent-offline"]);
  assert.equal(explainError(wrapped), "No way in: The agent is offline");
  assert.equal(
    new AwsocksError("backend-unavailable", "No way in").rootCode,
    "backend-unavailable",
  );
  assert.equal(explainError(new Error("a\n b")), "a b");
});

Deno.test("describeError() joins the chain on one line without repeating itself", () => {
  const root = new Error("connection\n  refused");
  const middle = new Error("Could not connect", { cause: root });
  const outer = new AwsocksError("aws-unreachable", "No answer: Could not connect", {
    cause: middle,
  });
  assert.equal(describeError(outer), "No answer: Could not connect: connection refused");
  const refused = new Error("connection refused", {
    cause: new Error("Connection refused (os error 111)"),
  });
  assert.equal(describeError(refused), "connection refused");
  const loop = new Error("a");
  loop.cause = loop;
  assert.equal(describeError(loop), "a");
});
