import assert from "node:assert/strict";
import fc from "fast-check";
import { isAwsocksError } from "../../lib/core/mod.ts";
import { answerHandshake } from "../../lib/ssm/handshake.ts";
import {
  ActionStatus,
  compareVersions,
  encodeAcknowledgement,
  encodeChannelClosed,
  encodeFlag,
  encodeHandshakeComplete,
  encodeHandshakeRequest,
  encodeHandshakeResponse,
  encodeOpenDataChannel,
  parseAcknowledgement,
  parseChannelClosed,
  parseFlag,
  parseHandshakeComplete,
  parseHandshakeRequest,
  parseHandshakeResponse,
  parseOpenDataChannel,
} from "../../lib/ssm/mod.ts";

const text = fc.string({ unit: "grapheme" });

Deno.test("acknowledgements round-trip", () => {
  fc.assert(fc.property(
    fc.record({ messageType: text, messageId: fc.uuid(), sequenceNumber: fc.maxSafeNat() }, {
      noNullPrototype: true,
    }),
    (value) => assert.deepEqual(parseAcknowledgement(encodeAcknowledgement(value)), value),
  ));
});

Deno.test("handshake requests round-trip", () => {
  fc.assert(fc.property(
    fc.record({
      agentVersion: text,
      requestedClientActions: fc.array(fc.record({
        actionType: text,
        actionParameters: fc.dictionary(
          fc.stringMatching(/^[a-z]+$/).filter((key) => key !== "__proto__"),
          fc.jsonValue(),
          { noNullPrototype: true },
        ),
      })),
    }),
    (value) => {
      const parsed = parseHandshakeRequest(encodeHandshakeRequest(value));
      assert.deepEqual(JSON.stringify(parsed), JSON.stringify(value));
    },
  ));
});

Deno.test("handshake responses, completions, flags and opens round-trip", () => {
  const response = {
    clientVersion: "1.2.707.0",
    processedClientActions: [
      { actionType: "SessionType", actionStatus: ActionStatus.Success },
      { actionType: "Other", actionStatus: ActionStatus.Unsupported, error: "no" },
    ],
    errors: ["no"],
  };
  assert.deepEqual(parseHandshakeResponse(encodeHandshakeResponse(response)), response);
  const complete = { handshakeTimeToComplete: 12345, customerMessage: "hello" };
  assert.deepEqual(parseHandshakeComplete(encodeHandshakeComplete(complete)), complete);
  for (const flag of [1, 2, 3, 0xffffffff]) assert.equal(parseFlag(encodeFlag(flag)), flag);
  const open = { requestId: "r", tokenValue: "t", clientId: "c", clientVersion: "1.2.3.4" };
  assert.deepEqual(parseOpenDataChannel(encodeOpenDataChannel(open)), open);
});

Deno.test("parseChannelClosed() gives the agent's text and survives garbage", () => {
  const payload = encodeChannelClosed({
    sessionId: "s-1",
    output: "\n----------ERROR-------\nUnable to connect \n",
    messageId: "m",
    destinationId: "i-1",
    createdDate: "2025-01-01",
  });
  assert.deepEqual(parseChannelClosed(payload), { sessionId: "s-1", output: "Unable to connect" });
  fc.assert(fc.property(fc.uint8Array(), (bytes) => {
    assert.equal(typeof parseChannelClosed(bytes).output, "string");
  }));
});

Deno.test("parsers answer random bytes and random JSON with an error or a value of their type", () => {
  const parsers = [
    parseAcknowledgement,
    parseHandshakeRequest,
    parseHandshakeResponse,
    parseHandshakeComplete,
    parseFlag,
  ];
  const inputs = fc.oneof(
    fc.uint8Array(),
    fc.json().map((json) => new TextEncoder().encode(json)),
  );
  fc.assert(
    fc.property(inputs, (bytes) => {
      for (const parse of parsers) {
        try {
          assert.notEqual(parse(bytes), undefined);
        } catch (error) {
          assert.ok(isAwsocksError(error, "session-protocol-error"), String(error));
        }
      }
    }),
    { numRuns: 20_000 },
  );
});

const portAction = {
  actionType: "SessionType",
  actionParameters: { SessionType: "Port", Properties: { portNumber: "22" } },
};

Deno.test("answerHandshake() accepts a port session", () => {
  const answer = answerHandshake({
    agentVersion: "3.3.1142.0",
    requestedClientActions: [portAction],
  });
  assert.equal(answer.error, undefined);
  assert.deepEqual(answer.info, { agentVersion: "3.3.1142.0", properties: { portNumber: "22" } });
  assert.deepEqual(answer.response.processedClientActions, [
    { actionType: "SessionType", actionStatus: ActionStatus.Success },
  ]);
});

Deno.test("answerHandshake() refuses shells, KMS, unknown actions and silence", () => {
  const shell = { ...portAction, actionParameters: { SessionType: "Standard_Stream" } };
  const cases = [
    [shell],
    [portAction, { actionType: "KMSEncryption", actionParameters: { KMSKeyId: "k" } }],
    [portAction, { actionType: "Dance", actionParameters: {} }],
    [],
  ];
  for (const requestedClientActions of cases) {
    const { error, response } = answerHandshake({
      agentVersion: "3.0.0.0",
      requestedClientActions,
    });
    assert.ok(isAwsocksError(error, "session-handshake-failed"));
    const statuses = response.processedClientActions.map(({ actionStatus }) => actionStatus);
    if (statuses.length > 0) assert.ok(statuses.includes(ActionStatus.Unsupported));
  }
});

Deno.test("compareVersions() compares numerically, part by part", () => {
  assert.ok(compareVersions("3.2.1041.0", "3.10.0.0") < 0);
  assert.ok(compareVersions("3.3.40.0", "3.2.2303.0") > 0);
  assert.equal(compareVersions("3.0", "3.0.0.0"), 0);
  assert.ok(Number.isNaN(compareVersions("x", "1")));
});
