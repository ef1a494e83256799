import assert from "node:assert/strict";
import fc from "fast-check";
import { dialFailure, sessionFailure } from "../../lib/backend/port_failure.ts";
import { AwsocksError, type ErrorCode, isAwsocksError, OUTCOMES } from "../../lib/core/mod.ts";

const target = { host: "db.internal", port: 5432 };

function closed(output: string, code: ErrorCode = "session-closed") {
  return new AwsocksError(code, `Session Manager closed the session: ${output}`, {
    facts: { sessionId: "s-1", output },
  });
}

Deno.test("the agent's texts become what they say about the destination", () => {
  const rows: [text: string, code: ErrorCode][] = [
    ["lookup db.internal on 10.0.0.2:53: no such host", "destination-name-unknown"],
    ["lookup db.internal: no such host", "destination-name-unknown"],
    ["lookup db.internal on 10.0.0.2:53: server misbehaving", "destination-name-unknown"],
    ["lookup db.internal: getaddrinfow: No such host is known.", "destination-name-unknown"],
    ["Forwarding to IP address 169.254.169.254 is forbidden.", "destination-prohibited"],
    [
      "Unable to connect to specified port: dial tcp 127.0.0.1:5432: connect: connection refused",
      "destination-refused",
    ],
    [
      "Unable to connect to specified port: dial tcp [::1]:5432: connectex: No connection could be " +
      "made because the target machine actively refused it.",
      "destination-refused",
    ],
    [
      "Unable to connect to specified port: dial tcp 10.9.9.9:1: connect: no route to host",
      "destination-unreachable",
    ],
    [
      "Unable to connect to specified port: dial tcp 10.9.9.9:1: connect: network is unreachable",
      "destination-network-unreachable",
    ],
    [
      "Unable to connect to specified port: dial tcp 10.9.9.9:1: i/o timeout",
      "destination-timeout",
    ],
    ["Unable to connect to specified port: something else", "destination-failed"],
  ];
  for (const [text, code] of rows) {
    for (const from of ["session-closed", "session-handshake-failed"] as const) {
      const failure = sessionFailure(target, closed(text, from));
      assert.ok(isAwsocksError(failure, code), `${text}: ${failure}`);
      assert.match(failure.message, /^Cannot connect to db\.internal:5432: /);
      assert.equal(failure.cause instanceof AwsocksError, true);
    }
  }
});

Deno.test("what says nothing about the destination stays what it is", () => {
  for (
    const error of [
      closed("document process failed unexpectedly: ipc messaging received timeout signal"),
      closed(""),
      new AwsocksError("agent-offline", "The SSM agent of lookup is not connected"),
      new AwsocksError("session-lost", "lookup x: no such host"),
      new Error("lookup x: no such host"),
      undefined,
    ]
  ) assert.equal(sessionFailure(target, error), error);
});

Deno.test("parameters that AWS does not accept are the destination's fault", () => {
  const refused = (code: string) =>
    new AwsocksError("aws-request-failed", "ssm:StartSession failed", {
      facts: { code, message: 'Parameter "host" has value "a;b"' },
    });
  const failure = sessionFailure(target, refused("InvalidParameters"));
  assert.ok(isAwsocksError(failure, "destination-failed"));
  assert.match(failure.message, /db\.internal:5432: Parameter "host"/);
  const other = refused("InvalidDocument");
  assert.equal(sessionFailure(target, other), other);
});

Deno.test("any text makes a short, printable message", () => {
  fc.assert(fc.property(fc.string({ unit: "binary", maxLength: 400 }), (text) => {
    const failure = sessionFailure(target, closed(`lookup x${text}`));
    assert.ok(isAwsocksError(failure));
    assert.doesNotMatch(failure.message, /\p{Cc}/u);
    assert.ok(failure.message.length < 250);
  }));
});

Deno.test("a dial that failed is told by the time it took, and never sent another way on a guess", () => {
  assert.equal(dialFailure(target, 3).code, "destination-refused");
  assert.equal(dialFailure(target, 2499).code, "destination-refused");
  assert.equal(dialFailure(target, 3100).code, "destination-failed");
  assert.equal(dialFailure(target, 127_000).code, "destination-timeout");
  assert.equal(OUTCOMES[dialFailure(target, 3).code].socks, 5);
});
