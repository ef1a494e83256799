import assert from "node:assert/strict";
import fc from "fast-check";
import type { ErrorCode } from "../../lib/core/mod.ts";
import { openFailureError } from "../../lib/ssh/open_failure.ts";

const target = { host: "db.internal", port: 5432 };
const code = (description: string, reason: number | undefined = 2, at = target) =>
  openFailureError(at, { reason, description }).code;

/** What servers say, by what it means. */
const TEXTS: Partial<Record<ErrorCode, string[]>> = {
  "destination-refused": [
    "Connection refused", // strerror of glibc, musl, macOS: OpenSSH, Dropbear
    "dial tcp 10.0.0.1:80: connect: connection refused", // Go
    "connect ECONNREFUSED 10.0.0.1:80", // Node
    "Error connecting: Connection refused", // Dropbear
    "java.net.ConnectException: Connection refused", // MINA SSHD
    "No connection could be made because the target machine actively refused it.", // Windows
    "Windows error 10061", // Bitvise
  ],
  "destination-name-unknown": [
    "Name or service not known", // glibc
    "Temporary failure in name resolution", // glibc
    "No address associated with hostname", // glibc
    "Name does not resolve", // musl
    "Try again", // musl
    "nodename nor servname provided, or not known", // macOS
    "hostname nor servname provided, or not known", // FreeBSD
    "dial tcp: lookup db.internal on 10.0.0.2:53: no such host", // Go
    "dial tcp: lookup db.internal: server misbehaving", // Go
    "getaddrinfo ENOTFOUND db.internal", // Node
    "getaddrinfo EAI_AGAIN db.internal", // Node
    "No such host is known.", // Windows
    "Windows error 11001", // Bitvise
    "java.nio.channels.UnresolvedAddressException", // MINA SSHD
    "java.net.UnknownHostException: db.internal",
    "Error resolving 'db.internal' port '5432'. Name or service not known", // Dropbear
  ],
  "destination-unreachable": [
    "No route to host", // glibc, macOS
    "Host is unreachable", // musl
    "Host is down", // macOS
    "dial tcp 10.0.0.1:80: connect: no route to host",
    "connect EHOSTUNREACH 10.0.0.1:80",
    "java.net.NoRouteToHostException: No route to host",
    "A socket operation was attempted to an unreachable host.", // Windows
  ],
  "destination-network-unreachable": [
    "Network is unreachable", // glibc, macOS
    "Network unreachable", // musl
    "dial tcp 10.0.0.1:80: connect: network is unreachable",
    "connect ENETUNREACH 10.0.0.1:80",
    "A socket operation was attempted to an unreachable network.", // Windows
  ],
  "destination-timeout": [
    "Connection timed out", // glibc
    "Operation timed out", // musl, macOS
    "dial tcp 10.0.0.1:80: i/o timeout",
    "connect ETIMEDOUT 10.0.0.1:80",
    "the connected party did not properly respond after a period of time", // Windows
  ],
  "destination-prohibited": [
    "Permission denied", // EACCES, from a local firewall
    "Operation not permitted", // EPERM
    "port forwarding is disabled",
  ],
  "destination-failed": ["", "open failed", "Connection reset by peer", "something else"],
};

for (const [expected, texts] of Object.entries(TEXTS)) {
  Deno.test(`openFailureError() finds ${expected}`, () => {
    for (const text of texts) {
      assert.equal(code(text), expected, text);
      assert.equal(code(text.toUpperCase()), expected, text.toUpperCase());
    }
  });
}

Deno.test("openFailureError() believes the reason code where it says something", () => {
  assert.equal(code("Connection refused", 1), "destination-prohibited");
  assert.equal(code("Connection refused", 3), "destination-prohibited");
  assert.equal(code("Connection refused", 4), "destination-failed");
});

Deno.test("openFailureError() writes messages that say what was tried and why it failed", () => {
  const message = (description: string, reason: number | undefined) =>
    openFailureError(target, { reason, description }).message;
  const prefix = "Cannot connect to db.internal:5432: ";
  assert.equal(message("Connection refused", 2), `${prefix}Connection refused`);
  assert.equal(message("open failed", 1), `${prefix}the SSH server refuses to forward there`);
  assert.equal(
    message("not on your list", 1),
    `${prefix}the SSH server refuses to forward there: not on your list`,
  );
  assert.equal(message("", 3), `${prefix}the SSH server offers no TCP forwarding`);
  assert.equal(
    message("too many", 4),
    `${prefix}the SSH server is short of resources: too many`,
  );
  assert.equal(message("open failed", 2), `${prefix}the SSH server gives no reason`);
  assert.equal(
    message("", undefined),
    `${prefix}the SSH server closed the channel without a reason`,
  );
  const silent = openFailureError(target, { reason: 2, description: "open failed" });
  assert.match(silent.hint, /older sshd/);
});

Deno.test("openFailureError() is not misled by the name or port of the destination", () => {
  const at = { host: "refused.timeout.example", port: 10061 };
  assert.equal(
    code("refused.timeout.example:10061: No route to host", 2, at),
    "destination-unreachable",
  );
});

Deno.test("openFailureError() keeps messages short and on one line, whatever the server says", () => {
  fc.assert(fc.property(fc.string({ maxLength: 2000 }), fc.nat(5), (description, reason) => {
    const { message } = openFailureError(target, { reason, description });
    assert.ok(message.length < 320);
    assert.doesNotMatch(message, /\p{Cc}/u);
  }));
});
