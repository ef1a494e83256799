import assert from "node:assert/strict";
import { AwsV4Signer } from "aws4fetch";
import { Flag, MessageType, PayloadType } from "../../lib/ssm/constants.ts";
import { type Sandbox, type SandboxOptions, startSandbox } from "../../lib/sandbox/mod.ts";
import { FakeClock, settle } from "../support/fake_clock.ts";
import { callSsm, json } from "./caller.ts";
import {
  type Grant,
  openDataChannel,
  payloadJson,
  Peer,
  resumeSession,
  startSession,
} from "./peer.ts";

const { InputStreamData, OutputStreamData, ChannelClosed } = MessageType;
const BANNER = "SSH-2.0-OpenSSH_9.2p1\r\n";

function sandboxTest(
  name: string,
  work: (sandbox: Sandbox) => Promise<void>,
  options: SandboxOptions = {},
): void {
  Deno.test(name, async () => {
    await using sandbox = await startSandbox({ seed: 1, ...options });
    await work(sandbox);
  });
}

const only = (sandbox: Sandbox) => sandbox.sessions()[0]!;

/** The output of `channel_closed`, and that a WebSocket close with code 1000 follows. */
async function ending(peer: Peer): Promise<string> {
  const closed = payloadJson(await peer.next(ChannelClosed));
  assert.equal((await peer.closed).code, 1000);
  return String(closed.Output);
}

sandboxTest(
  "a session runs from the handshake to the SSH banner and ends on request",
  async (sandbox) => {
    using peer = await Peer.open(await startSession(sandbox));
    await peer.next(MessageType.StartPublication);
    await peer.handshake();
    assert.equal(await peer.output("\n"), BANNER);
    assert.equal(only(sandbox).status, "Connected");
    peer.flag(Flag.TerminateSession);
    assert.equal(await ending(peer), "");
    const report = only(sandbox);
    assert.deepEqual([report.status, report.live, report.output], ["Terminated", false, ""]);
    assert.equal(report.counters.malformed, 0);
  },
);

sandboxTest("a client that comes late gets a repeated HandshakeRequest", async (sandbox) => {
  const grant = await startSession(sandbox);
  await new Promise((resolve) => setTimeout(resolve, 50));
  using peer = await Peer.open(grant);
  const request = await peer.next(OutputStreamData, PayloadType.HandshakeRequest);
  assert.equal(request.sequenceNumber, 0);
  const again = await peer.next(OutputStreamData, PayloadType.HandshakeRequest);
  assert.equal(again.messageId, request.messageId);
  assert.ok(only(sandbox).counters.lost >= 1);
}, { switches: { agentDelay: 0 } });

sandboxTest("data in text frames is taken like data in binary ones", async (sandbox) => {
  using peer = await Peer.open(await startSession(sandbox));
  const request = await peer.next(OutputStreamData, PayloadType.HandshakeRequest);
  assert.equal(payloadJson(request).AgentVersion, "3.3.1142.0");
});

sandboxTest("OpenDataChannel is checked field by field", async (sandbox) => {
  const refused = async (change: (open: Record<string, string>) => unknown): Promise<string> => {
    const grant = await startSession(sandbox);
    using peer = await Peer.connect(grant.streamUrl);
    const open = openDataChannel(grant.tokenValue);
    const text = change(open) ?? open;
    peer.sendText(typeof text === "string" ? text : JSON.stringify(text));
    const { code, reason } = await peer.closed;
    assert.equal(code, 1008);
    return reason;
  };
  assert.equal(await refused((open) => void (open.TokenValue = "x")), "Token is invalid");
  assert.equal(await refused((open) => void (delete open.ClientId)), "ClientId is missing");
  assert.equal(await refused((open) => void (open.RequestId = "short")), "RequestId is too short");
  assert.equal(
    await refused((open) => void (open.MessageSchemaVersion = "2.0")),
    "MessageSchemaVersion is not 1.0",
  );
  assert.equal(await refused(() => "{"), "OpenDataChannel is not JSON");
  for (const session of sandbox.sessions()) assert.equal(session.counters.webSockets, 0);
});

sandboxTest("the first message must be text", async (sandbox) => {
  const grant = await startSession(sandbox);
  using peer = await Peer.connect(grant.streamUrl);
  peer.sendBytes(new TextEncoder().encode(JSON.stringify(openDataChannel(grant.tokenValue))));
  assert.equal((await peer.closed).code, 1008);
});

sandboxTest("a token opens one data channel only", async (sandbox) => {
  const grant = await startSession(sandbox);
  using first = await Peer.open(grant);
  await first.handshake();
  using second = await Peer.open(grant);
  assert.equal((await second.closed).reason, "Token is invalid");
});

Deno.test("a token expires", async () => {
  const clock = new FakeClock(Date.now());
  await using sandbox = await startSandbox({ seed: 1, clock, switches: { tokenLifetime: 1000 } });
  const { streamUrl, tokenValue } = await startSession(sandbox);
  await clock.advance(1001);
  using peer = await Peer.open({ sessionId: "", streamUrl, tokenValue });
  assert.equal((await peer.closed).reason, "Token has expired");
});

Deno.test("a WebSocket without OpenDataChannel is closed after 10 s", async () => {
  const clock = new FakeClock(Date.now());
  await using sandbox = await startSandbox({ seed: 1, clock });
  const { streamUrl } = await startSession(sandbox);
  using peer = await Peer.connect(streamUrl);
  await clock.advance(10_000);
  assert.equal((await peer.closed).code, 1008);
});

sandboxTest("ClientId must stay the same", async (sandbox) => {
  const grant = await startSession(sandbox);
  const peer = await Peer.open(grant, { clientId: "one-client-id" });
  await peer.handshake();
  await peer.close();
  const resumed = await resumeSession(sandbox, grant.sessionId);
  using other = await Peer.open(resumed, { clientId: "another-client-id" });
  assert.equal((await other.closed).reason, "ClientId has changed");
});

sandboxTest("unknown sessions and re-encoded URLs are not found", async (sandbox) => {
  const { streamUrl, sessionId } = await startSession(sandbox);
  const bad = [
    streamUrl.replaceAll("+", "%2B"),
    streamUrl.replaceAll("+", "%20"),
    streamUrl.replace(sessionId, "sandbox-00000000000000000"),
    streamUrl.replace(/&cell-number.*/, ""),
    streamUrl.replace(/\?.*/, ""),
    streamUrl.replace("data-channel", "control-channel"),
  ];
  for (const url of bad) await assert.rejects(Peer.connect(url), /HTTP 404/, url);
});

// --- Signed upgrades

async function signedHeaders(
  sandbox: Sandbox,
  url: string,
  service = "ssmmessages",
): Promise<Record<string, string>> {
  const { accessKeyId, secretAccessKey } = sandbox.credentials;
  const signed = await new AwsV4Signer({
    url: url.replace(/^ws:/, "http:"),
    method: "GET",
    accessKeyId,
    secretAccessKey,
    service,
    region: sandbox.region,
  }).sign();
  return Object.fromEntries(signed.headers);
}

sandboxTest(
  "signatures of the upgrade request are checked, and may be required",
  async (sandbox) => {
    const seen: string[] = [];
    using _listener = sandbox.on((event) => {
      if (event.type === "websocket-opened") seen.push(event.signature);
    });
    const open = async (headers: (url: string) => Promise<Record<string, string>>) => {
      const { streamUrl, tokenValue } = await startSession(sandbox);
      using peer = await Peer.connect(streamUrl, await headers(streamUrl));
      peer.sendText(JSON.stringify(openDataChannel(tokenValue)));
      await peer.handshake();
    };
    const unsigned = () => Promise.resolve({});
    const signed = (url: string) => signedHeaders(sandbox, url);
    const wrong = (url: string) => signedHeaders(sandbox, url, "ssm");
    await open(unsigned);
    await open(wrong);
    await open(signed);
    assert.deepEqual(seen, ["missing", "invalid", "valid"]);
    assert.equal(sandbox.sessions().at(-1)!.counters.signedWebSockets, 1);
    sandbox.setFaults({ signedUpgrade: "require" });
    await assert.rejects(open(unsigned), /HTTP 403/);
    await assert.rejects(open(wrong), /HTTP 403/);
    await open(signed);
    sandbox.setFaults({ signedUpgrade: "ignore" });
    await open(unsigned);
    assert.deepEqual(seen.slice(3), ["valid", "unchecked"]);
  },
);

sandboxTest("a signature in the query is as good as one in the headers", async (sandbox) => {
  const { streamUrl, tokenValue } = await startSession(sandbox);
  const { accessKeyId, secretAccessKey } = sandbox.credentials;
  const signed = await new AwsV4Signer({
    url: `${streamUrl.replace(/^ws:/, "http:")}&X-Amz-Expires=300`,
    method: "GET",
    accessKeyId,
    secretAccessKey,
    service: "ssmmessages",
    region: sandbox.region,
    signQuery: true,
  }).sign();
  // What was signed, behind the URL as it was.
  const added = signed.url.search.slice(signed.url.search.indexOf("&X-Amz-"));
  using peer = await Peer.connect(streamUrl + added);
  peer.sendText(JSON.stringify(openDataChannel(tokenValue)));
  await peer.handshake();
}, { switches: { signedUpgrade: "require" } });

sandboxTest("an upgrade can be answered with an error page", async (sandbox) => {
  const grant = await startSession(sandbox);
  for (let i = 0; i < 2; i++) await assert.rejects(Peer.open(grant), /HTTP 503 text\/html/);
  using peer = await Peer.open(grant);
  await peer.handshake();
}, { switches: { upgradeErrors: 2 } });

sandboxTest("plain HTTP is told what this is", async (sandbox) => {
  const { streamUrl } = await startSession(sandbox);
  const response = await fetch(new URL(streamUrl).origin.replace("ws", "http"));
  assert.equal(response.status, 400);
  await response.body?.cancel();
});

// --- Resume

async function opened(sandbox: Sandbox): Promise<{ grant: Grant; peer: Peer }> {
  const grant = await startSession(sandbox);
  const peer = await Peer.open(grant);
  await peer.handshake();
  await peer.output("\n");
  return { grant, peer };
}

sandboxTest(
  "the service's own close is 1000 Bye, and the session goes on elsewhere",
  async (sandbox) => {
    const { grant, peer } = await opened(sandbox);
    assert.equal(sandbox.cut(), 1);
    assert.deepEqual(await peer.closed, { code: 1000, reason: "Bye" });
    assert.equal(only(sandbox).status, "Disconnected");
    await assert.rejects(Peer.connect(grant.streamUrl + "x"), /HTTP 404/);
    const resumed = await resumeSession(sandbox, grant.sessionId);
    assert.notEqual(resumed.streamUrl, grant.streamUrl);
    assert.notEqual(resumed.tokenValue, grant.tokenValue);
    await assert.rejects(Peer.connect(grant.streamUrl), /HTTP 404/, "the old URL has gone stale");
    using second = await Peer.open(resumed);
    await second.next(MessageType.StartPublication);
    // Numbers go on where they were: 0 was the HandshakeResponse.
    const hello = second.send(PayloadType.Output, "SSH-2.0-test\r\n", 1);
    await second.acknowledged(hello);
    assert.equal(only(sandbox).counters.webSockets, 2);
    assert.equal(sandbox.cut({ mode: "abrupt" }), 1);
    assert.equal((await second.closed).code, 1006);
  },
);

sandboxTest(
  "output that was on its way is lost, and repeated from the oldest on",
  async (sandbox) => {
    const grant = await startSession(sandbox);
    const peer = await Peer.open(grant);
    await peer.handshake();
    const lost = await peer.next(OutputStreamData, PayloadType.Output);
    await peer.close();
    using second = await Peer.open(await resumeSession(sandbox, grant.sessionId));
    const repeated = await second.next(OutputStreamData, PayloadType.Output);
    assert.equal(repeated.messageId, lost.messageId);
    assert.equal(repeated.sequenceNumber, lost.sequenceNumber);
    assert.ok(only(sandbox).counters.retransmissions > 0);
  },
);

sandboxTest(
  "a client that comes back before its old WebSocket died replaces it",
  async (sandbox) => {
    const { grant, peer } = await opened(sandbox);
    using second = await Peer.open(await resumeSession(sandbox, grant.sessionId));
    assert.equal((await peer.closed).code, 1006);
    await second.acknowledged(second.send(PayloadType.Output, "SSH-2.0-test\r\n", 1));
    assert.equal(only(sandbox).status, "Connected");
  },
);

sandboxTest("a stalled WebSocket stays open and answers nothing", async (sandbox) => {
  const { grant, peer } = await opened(sandbox);
  assert.equal(await peer.ping(5000), true);
  assert.equal(sandbox.cut({ mode: "stall" }), 1);
  assert.equal(await peer.ping(100), false);
  peer.send(PayloadType.Output, "SSH-2.0-test\r\n", 1);
  using second = await Peer.open(await resumeSession(sandbox, grant.sessionId));
  await second.acknowledged(second.send(PayloadType.Output, "SSH-2.0-test\r\n", 1));
  await peer.close();
});

sandboxTest("messages can be kept for a client that is away", async (sandbox) => {
  const grant = await startSession(sandbox);
  await new Promise((resolve) => setTimeout(resolve, 50));
  using peer = await Peer.open(grant);
  await peer.handshake();
  assert.equal(only(sandbox).counters.lost, 0);
  assert.equal(only(sandbox).counters.retransmissions, 0);
}, { switches: { agentDelay: 0, keepInFlight: true } });

Deno.test("ResumeSession can be refused for a while after a cut", async () => {
  const clock = new FakeClock(Date.now());
  await using sandbox = await startSandbox({ seed: 1, clock, switches: { refuseResume: 3000 } });
  const { sessionId, streamUrl, tokenValue } = await startSession(sandbox);
  using peer = await Peer.connect(streamUrl);
  peer.sendText(JSON.stringify(openDataChannel(tokenValue)));
  await waitFor(() => only(sandbox).clientConnected);
  const resume = async () => {
    const answer = await callSsm(sandbox, "ResumeSession", { SessionId: sessionId }, {
      now: clock.now(),
    });
    return [answer.status, json(answer).__type];
  };
  await clock.advance(30);
  assert.equal(sandbox.cut(), 1);
  assert.deepEqual(await resume(), [500, "InternalServerError"]);
  await clock.advance(3000);
  assert.deepEqual(await resume(), [200, undefined]);
});

sandboxTest("the same URL can stay good", async (sandbox) => {
  const { grant, peer } = await opened(sandbox);
  await peer.close();
  assert.equal((await resumeSession(sandbox, grant.sessionId)).streamUrl, grant.streamUrl);
}, { switches: { newUrl: false } });

// --- Cuts and limits

sandboxTest("the WebSocket is cut each time enough messages have passed", async (sandbox) => {
  const grant = await startSession(sandbox);
  using peer = await Peer.open(grant);
  assert.deepEqual(await peer.closed, { code: 1000, reason: "Bye" });
  using second = await Peer.open(await resumeSession(sandbox, grant.sessionId));
  await second.closed;
  assert.equal(only(sandbox).counters.cuts, 2);
}, { switches: { cutEvery: { amount: 3, unit: "messages" } } });

sandboxTest("the WebSocket is cut each time enough bytes have passed", async (sandbox) => {
  using peer = await Peer.open(await startSession(sandbox));
  assert.equal((await peer.closed).code, 1006);
}, { switches: { cutEvery: { amount: 600, unit: "bytes" }, cutMode: "abrupt" } });

Deno.test("the WebSocket is cut each time enough time has passed", async () => {
  const clock = new FakeClock(Date.now());
  const switches = { cutEvery: { amount: 1000, unit: "ms" } } as const;
  await using sandbox = await startSandbox({ seed: 1, clock, switches });
  using peer = await Peer.open(await startSession(sandbox));
  await waitFor(() => only(sandbox).clientConnected);
  await clock.advance(1000);
  assert.equal((await peer.closed).reason, "Bye");
});

/** Lets real I/O happen until something holds; a fake clock stands still meanwhile. */
async function waitFor(holds: () => boolean): Promise<void> {
  for (let i = 0; i < 500 && !holds(); i++) await new Promise((resolve) => setTimeout(resolve, 2));
  assert.ok(holds());
}

sandboxTest("a message that is too big ends the WebSocket, not the session", async (sandbox) => {
  const { peer } = await opened(sandbox);
  peer.send(PayloadType.Output, new Uint8Array(2000));
  assert.equal((await peer.closed).code, 1009);
  assert.equal(only(sandbox).live, true);
}, { switches: { maxMessage: 1144 } });

sandboxTest("malformed messages are counted and ignored", async (sandbox) => {
  const { peer } = await opened(sandbox);
  peer.sendBytes(new Uint8Array(10));
  peer.sendText("{}");
  await peer.acknowledged(peer.send(PayloadType.Output, "SSH-2.0-test\r\n"));
  assert.equal(only(sandbox).counters.malformed, 2);
  await peer.close();
});

// --- Ends

sandboxTest(
  "a port where nobody listens ends the session with the agent's words",
  async (sandbox) => {
    using peer = await Peer.open(await startSession(sandbox, { port: "2222" }));
    await peer.handshake();
    const text = "Unable to connect to specified port: " +
      "dial tcp 127.0.0.1:2222: connect: connection refused";
    assert.equal(await ending(peer), text);
    assert.equal(only(sandbox).output, text);
  },
);

sandboxTest("any port of the instance can be reached, not only sshd's", async (sandbox) => {
  using peer = await Peer.open(await startSession(sandbox, { port: "80" }));
  await peer.handshake();
  peer.send(PayloadType.Output, "GET /headers HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  assert.match(await peer.output("\r\n\r\n{"), /^HTTP\/1\.1 200 OK/);
});

sandboxTest("TerminateSession closes the channel at once", async (sandbox) => {
  const { grant, peer } = await opened(sandbox);
  await callSsm(sandbox, "TerminateSession", { SessionId: grant.sessionId });
  assert.equal(await ending(peer), "");
  await assert.rejects(Peer.connect(grant.streamUrl), /HTTP 404/);
});

sandboxTest("an administrator's end carries a text", async (sandbox) => {
  const { grant, peer } = await opened(sandbox);
  sandbox.terminate(grant.sessionId, "maintenance");
  assert.equal(await ending(peer), "maintenance");
});

Deno.test("ResumeSession counts as input for the idle timer", async () => {
  const clock = new FakeClock(Date.now());
  await using sandbox = await startSandbox({ seed: 1, clock, switches: { idleTimeout: 8000 } });
  const { sessionId } = await startSession(sandbox);
  await clock.advance(7000);
  await callSsm(sandbox, "ResumeSession", { SessionId: sessionId }, { now: clock.now() });
  await clock.advance(7999);
  assert.equal(only(sandbox).live, true);
  await clock.advance(1);
  assert.equal(only(sandbox).live, false);
});

sandboxTest("idle sessions end while acknowledgements alone keep none alive", async (sandbox) => {
  using peer = await Peer.open(await startSession(sandbox));
  await peer.handshake();
  assert.equal(await ending(peer), "");
}, { switches: { idleTimeout: 150 } });

sandboxTest("a session can have a longest duration", async (sandbox) => {
  using peer = await Peer.open(await startSession(sandbox));
  await peer.handshake();
  assert.equal(await ending(peer), "");
}, { switches: { maxDuration: 150 } });

sandboxTest("a stopped instance falls silent; its sessions are not closed", async (sandbox) => {
  const { grant, peer } = await opened(sandbox);
  sandbox.stopInstance(sandbox.instanceId);
  await peer.next(MessageType.PausePublication);
  peer.send(PayloadType.Output, "anybody there?");
  await settle();
  assert.equal(only(sandbox).live, true);
  assert.equal(peer.inbox.some(({ messageType }) => messageType === ChannelClosed), false);
  await callSsm(sandbox, "TerminateSession", { SessionId: grant.sessionId });
  assert.equal(await ending(peer), "");
});

sandboxTest("an agent that loses its own WebSocket comes back", async (sandbox) => {
  const { peer } = await opened(sandbox);
  while (peer.inbox.length > 0) await peer.take(() => true);
  sandbox.cutAgent();
  await peer.next(MessageType.PausePublication);
  const lost = peer.send(PayloadType.Output, "SSH-2.0-test\r\n");
  await peer.next(MessageType.StartPublication);
  peer.send(PayloadType.Output, "SSH-2.0-test\r\n", lost.sequenceNumber);
  const acknowledged = await peer.next(MessageType.Acknowledge);
  assert.equal(payloadJson(acknowledged).AcknowledgedMessageSequenceNumber, lost.sequenceNumber);
  assert.equal(payloadJson(acknowledged).AcknowledgedMessageType, InputStreamData);
  await peer.close();
});

sandboxTest("publications can be sent by hand, or not at all", async (sandbox) => {
  const { peer } = await opened(sandbox);
  assert.equal(peer.inbox.some((m) => m.messageType === MessageType.StartPublication), false);
  sandbox.setFaults({ publication: "bare" });
  sandbox.setPublication(false);
  assert.equal((await peer.next(MessageType.PausePublication)).payload.byteLength, 0);
  sandbox.setPublication(true);
  await peer.next(MessageType.StartPublication);
  await peer.close();
}, { switches: { publication: "off" } });

sandboxTest("closing the sandbox ends everything at once", async (sandbox) => {
  const { peer } = await opened(sandbox);
  await sandbox.close();
  await peer.closed;
  assert.deepEqual(sandbox.sessions().filter(({ live }) => live), []);
  await sandbox.close();
});
