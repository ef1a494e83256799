import assert from "node:assert/strict";
import { isAwsocksError } from "../../lib/core/mod.ts";
import { SsmClient } from "../../lib/ssm/client.ts";
import { clientOf, jsonError, KEYS, skipDelays } from "../aws/client_peer.ts";
import type { Handler } from "../aws/peers.ts";

const INSTANCE = "i-0f1e2d3c4b5a69788";
const SESSION = "jane.doe-0a1b2c3d4e5f60718";
const STREAM_URL = `wss://ssmmessages.eu-west-1.amazonaws.com/v1/data-channel/${SESSION}` +
  "?role=publish_subscribe&cell-number=AAEAAQ+/x9Gq7Yw3+nT/uR==";
const GRANT = { SessionId: SESSION, StreamUrl: STREAM_URL, TokenValue: "AAEAAT0ken+/==" };
const REQUEST = {
  target: INSTANCE,
  documentName: "AWS-StartSSHSession",
  parameters: { portNumber: ["22"] },
};

function ssmOf(handler: Handler, options: Parameters<typeof clientOf>[1] = {}) {
  const peer = clientOf(handler, options);
  return {
    ssm: new SsmClient(peer.client),
    requests: peer.server.requests,
    clock: peer.clock,
    [Symbol.asyncDispose]: () => peer[Symbol.asyncDispose](),
  };
}

Deno.test("startSession() sends the document and hands out URL and token verbatim", async () => {
  await using peer = ssmOf(() => Response.json(GRANT));
  assert.deepEqual(await peer.ssm.startSession({ ...REQUEST, reason: "r".repeat(300) }), {
    sessionId: SESSION,
    streamUrl: STREAM_URL,
    tokenValue: GRANT.TokenValue,
  });
  const { method, url, headers, body } = peer.requests[0]!;
  assert.equal(method, "POST");
  assert.equal(new URL(url).pathname, "/");
  assert.equal(headers.get("content-type"), "application/x-amz-json-1.1");
  assert.equal(headers.get("x-amz-target"), "AmazonSSM.StartSession");
  assert.deepEqual(JSON.parse(body), {
    Target: INSTANCE,
    DocumentName: "AWS-StartSSHSession",
    Parameters: { portNumber: ["22"] },
    Reason: "r".repeat(256),
  });
});

Deno.test("startSession() leaves an agent that is not connected to the caller", async () => {
  const message = `${INSTANCE} is not connected.`;
  await using peer = ssmOf(() => jsonError("TargetNotConnected", message));
  await assert.rejects(peer.ssm.startSession(REQUEST), (error) => {
    assert(isAwsocksError(error, "agent-offline"));
    assert.match(error.message, new RegExp(INSTANCE));
    return true;
  });
  assert.equal(peer.requests.length, 1);
});

Deno.test("startSession() is repeated when throttled", async () => {
  await using peer = ssmOf((_request, index) =>
    index === 0 ? jsonError("ThrottlingException", "Rate exceeded") : Response.json(GRANT)
  );
  const grant = await skipDelays(peer.clock, peer.ssm.startSession(REQUEST));
  assert.equal(grant.sessionId, SESSION);
  assert.equal(peer.requests.length, 2);
});

Deno.test.each([
  ["no token", JSON.stringify({ ...GRANT, TokenValue: undefined })],
  ["an empty StreamUrl", JSON.stringify({ ...GRANT, StreamUrl: "" })],
  ["numbers for text", JSON.stringify({ ...GRANT, SessionId: 7 })],
  ["a list", "[]"],
  ["half of it", JSON.stringify(GRANT).slice(0, 40)],
  ["nothing", ""],
])("startSession() refuses an answer with %s", async (_name, body) => {
  await using peer = ssmOf(() => new Response(body));
  await assert.rejects(
    peer.ssm.startSession(REQUEST),
    (error) =>
      isAwsocksError(error, "aws-request-failed") &&
      error.message === "The answer to ssm:StartSession cannot be read",
  );
});

Deno.test("resumeSession() hands out the new token and URL, or an empty URL", async () => {
  await using peer = ssmOf((_request, index) =>
    Response.json(index === 0 ? GRANT : { SessionId: SESSION, TokenValue: "t2" })
  );
  assert.deepEqual(await peer.ssm.resumeSession(SESSION), {
    sessionId: SESSION,
    streamUrl: STREAM_URL,
    tokenValue: GRANT.TokenValue,
  });
  assert.deepEqual(JSON.parse(peer.requests[0]!.body), { SessionId: SESSION });
  assert.equal(peer.requests[0]!.headers.get("x-amz-target"), "AmazonSSM.ResumeSession");
  assert.deepEqual(await peer.ssm.resumeSession(SESSION), {
    sessionId: SESSION,
    streamUrl: "",
    tokenValue: "t2",
  });
});

Deno.test("resumeSession() knows a session that has ended", async () => {
  await using peer = ssmOf((_request, index) =>
    index === 0
      ? Response.json({ SessionId: SESSION, StreamUrl: STREAM_URL })
      : jsonError("DoesNotExistException", "Session does not exist")
  );
  assert.equal(await peer.ssm.resumeSession(SESSION), null);
  assert.equal(await peer.ssm.resumeSession(SESSION), null);
});

Deno.test("resumeSession() is tried with fresh credentials before a denial counts", async () => {
  let token = "old";
  let refreshes = 0;
  const options = {
    credentials: () => Promise.resolve({ ...KEYS, sessionToken: token }),
    refreshCredentials: () => {
      refreshes++;
      token = "new";
      return Promise.resolve();
    },
  };
  await using peer = ssmOf(
    (request) =>
      request.headers.get("x-amz-security-token") === "new"
        ? Response.json(GRANT)
        : jsonError("AccessDeniedException", "User: jane is not authorized"),
    options,
  );
  assert.equal((await peer.ssm.resumeSession(SESSION))?.sessionId, SESSION);
  assert.equal(refreshes, 1);

  await using denied = ssmOf(() => jsonError("AccessDeniedException", "no"), options);
  await assert.rejects(
    denied.ssm.resumeSession(SESSION),
    (error) => isAwsocksError(error, "aws-access-denied") && /ssm:ResumeSession/.test(error.hint),
  );
});

Deno.test("terminateSession() ends a session, also one that is gone", async () => {
  await using peer = ssmOf((_request, index) =>
    index === 0
      ? Response.json({ SessionId: SESSION })
      : jsonError("DoesNotExistException", "Session does not exist")
  );
  await peer.ssm.terminateSession(SESSION);
  assert.equal(peer.requests[0]!.headers.get("x-amz-target"), "AmazonSSM.TerminateSession");
  assert.deepEqual(JSON.parse(peer.requests[0]!.body), { SessionId: SESSION });
  await peer.ssm.terminateSession(SESSION);
});

Deno.test("describeInstanceInformation() tells ping status and version", async () => {
  await using peer = ssmOf(() =>
    Response.json({
      InstanceInformationList: [{
        InstanceId: INSTANCE,
        PingStatus: "ConnectionLost",
        LastPingDateTime: 1741960000.5,
        AgentVersion: "3.3.1142.0",
        PlatformName: "Amazon Linux",
      }],
    })
  );
  assert.deepEqual(await peer.ssm.describeInstanceInformation(INSTANCE), {
    instanceId: INSTANCE,
    pingStatus: "ConnectionLost",
    agentVersion: "3.3.1142.0",
    platformName: "Amazon Linux",
  });
  assert.deepEqual(JSON.parse(peer.requests[0]!.body), {
    Filters: [{ Key: "InstanceIds", Values: [INSTANCE] }],
  });
});

Deno.test.each([
  ["an empty list", { InstanceInformationList: [] }],
  ["another instance", { InstanceInformationList: [{ InstanceId: "i-1", PingStatus: "Online" }] }],
  ["nonsense", { InstanceInformationList: [null, 7, "x"] }],
  ["no list", {}],
])("describeInstanceInformation() finds nothing in %s", async (_name, output) => {
  await using peer = ssmOf(() => Response.json(output));
  assert.equal(await peer.ssm.describeInstanceInformation(INSTANCE), undefined);
});

Deno.test("describeInstanceInformation() finds nothing for an id SSM does not know", async () => {
  await using peer = ssmOf(() => jsonError("InvalidInstanceId", ""));
  assert.equal(await peer.ssm.describeInstanceInformation(INSTANCE), undefined);
});
