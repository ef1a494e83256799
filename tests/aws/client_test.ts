import assert from "node:assert/strict";
import { type AwsRequest, createAwsClient, createNetwork } from "../../lib/aws/mod.ts";
import { type AwsocksError, isAwsocksError } from "../../lib/core/mod.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { clientOf, jsonError, KEYS, skipDelays } from "./client_peer.ts";
import { expectedAuthorization } from "./independent_signer.ts";
import {
  closedPort,
  FAR_HOST,
  heldAnswer,
  makeAuthority,
  serve,
  startProxy,
  until,
} from "./peers.ts";

const CALL: AwsRequest = {
  service: "ssm",
  operation: "StartSession",
  subject: "i-0abc",
  headers: { "content-type": "application/x-amz-json-1.1" },
  body: '{"Target":"i-0abc"}',
};

/** The AwsocksError that `work` fails with. */
async function failure(work: Promise<unknown>): Promise<AwsocksError> {
  try {
    await work;
  } catch (error) {
    if (isAwsocksError(error)) return error;
    throw error;
  }
  assert.fail("It did not fail");
}

Deno.test("send() signs the call and names the program", async () => {
  await using peer = clientOf(() => Response.json({ ok: true }));
  const answer = await peer.client.send(CALL);
  assert.deepEqual(JSON.parse(answer.body), { ok: true });
  const { method, url, headers, body } = peer.server.requests[0]!;
  assert.equal(method, "POST");
  assert.match(headers.get("user-agent")!, /^awsocks\/\d+\.\d+\.\d+/);
  const expected = await expectedAuthorization(
    { method, url, headers: { "content-type": headers.get("content-type")! }, body },
    { service: "ssm", region: "eu-west-1", credentials: KEYS, now: peer.clock.now() },
  );
  assert.equal(headers.get("authorization"), expected);
});

Deno.test("send() repeats throttling, 5xx and broken connections with growing delays", async () => {
  await using peer = clientOf((_request, index) => {
    if (index === 0) return jsonError("ThrottlingException", "Rate exceeded");
    if (index === 1) return jsonError("InternalServerError", "", { status: 500 });
    if (index === 2) return new Response("<html>Bad gateway</html>", { status: 502 });
    return Response.json({});
  });
  const start = peer.clock.now();
  await skipDelays(peer.clock, peer.client.send(CALL));
  assert.equal(peer.server.requests.length, 4);
  // Half of 250, 500 and 1,000 ms: the random half is 0 here.
  assert.equal(peer.clock.now() - start, 125 + 250 + 500);
});

Deno.test("send() gives up after its attempts and throws the last failure", async () => {
  await using peer = clientOf(() => jsonError("ThrottlingException", "Rate exceeded"));
  const error = await failure(skipDelays(peer.clock, peer.client.send(CALL)));
  assert.equal(error.code, "aws-throttled");
  assert.equal(peer.server.requests.length, 4);
  assert.deepEqual(error.facts, {
    code: "ThrottlingException",
    message: "Rate exceeded",
    requestId: "f00d",
    status: 400,
    action: "ssm:StartSession",
    region: "eu-west-1",
  });
});

Deno.test("send() does not repeat what AWS refuses", async () => {
  await using peer = clientOf(() => jsonError("TargetNotConnected", "i-0abc is not connected."));
  const error = await failure(peer.client.send(CALL));
  assert.equal(error.code, "agent-offline");
  assert.equal(peer.server.requests.length, 1);
});

Deno.test("send() limits each attempt", async () => {
  await using peer = clientOf((_request, index) => index === 0 ? held.answer : Response.json({}));
  using held = heldAnswer();
  const start = peer.clock.now();
  const call = peer.client.send(CALL);
  await until(() => peer.server.requests.length === 1);
  await peer.clock.advance(15_000);
  await skipDelays(peer.clock, call);
  assert.equal(peer.server.requests.length, 2);
  assert.equal(peer.clock.now() - start, 15_000 + 125);
});

Deno.test("send() limits the answer's body too", async () => {
  using network = createNetwork({ env: {} });
  let headersCame = false;
  let end = () => {};
  const stalled = new ReadableStream({
    start: (controller) => void (end = () => controller.close()),
  });
  await using peer = clientOf(() => new Response(stalled), {
    attempts: 1,
    network: {
      ...network,
      async fetch(url, init) {
        const response = await network.fetch(url, init);
        headersCame = true;
        return response;
      },
    },
  });
  const call = failure(peer.client.send(CALL));
  await until(() => headersCame);
  await peer.clock.advance(15_000);
  const error = await call;
  assert.equal(error.code, "aws-unreachable");
  assert.match(error.message, /for ssm:StartSession: there was no answer within 15 s$/);
  end();
});

Deno.test("send() ends at once with the signal's reason", async () => {
  await using peer = clientOf(() => held.answer);
  using held = heldAnswer();
  const controller = new AbortController();
  const call = peer.client.send({ ...CALL, signal: controller.signal });
  await until(() => peer.server.requests.length === 1);
  controller.abort(new Error("enough"));
  await assert.rejects(call, /enough/);
  assert.equal(peer.clock.pending, 0);
});

Deno.test("send() takes over AWS's time when a signature failed for ours", async () => {
  let serverTime = 0;
  await using peer = clientOf((request) => {
    const date = { date: new Date(serverTime).toUTCString() };
    const signed = request.headers.get("x-amz-date")!;
    return signed === "20250101T003000Z"
      ? Response.json({})
      : jsonError("InvalidSignatureException", "Signature expired", { headers: date });
  });
  serverTime = peer.clock.now() + 30 * 60_000;
  await peer.client.send(CALL);
  await peer.client.send(CALL);
  assert.equal(peer.server.requests.length, 3); // the second call knows already
  const upgrade = await peer.client.signUpgrade("wss://gw.test/x", KEYS);
  assert.equal(upgrade.get("x-amz-date"), "20250101T003000Z");
});

Deno.test("send() blames the keys, not the clock, when the time is right", async () => {
  await using peer = clientOf(() => jsonError("InvalidSignatureException", "does not match"));
  // Deno's server dates its answers itself; the fake clock is set to that.
  await peer.clock.advance(Date.now() - peer.clock.now());
  const error = await failure(peer.client.send(CALL));
  assert.equal(error.code, "credentials-invalid");
  assert.equal(peer.server.requests.length, 1);
});

Deno.test("send() corrects the clock once in a call", async () => {
  let index = 0;
  await using peer = clientOf(() => {
    const date = new Date(peer.clock.now() + ++index * 3_600_000).toUTCString();
    return jsonError("RequestTimeTooSkewed", "too far", { headers: { date } });
  });
  const error = await failure(peer.client.send(CALL));
  assert.equal(error.code, "aws-request-failed");
  assert.match(error.hint, /clock/);
  assert.equal(peer.server.requests.length, 2);
});

Deno.test("send() fetches new credentials once when they have expired", async () => {
  const fresh = { ...KEYS, accessKeyId: "ASIANEW", sessionToken: "new" };
  let current = { ...KEYS, accessKeyId: "ASIAOLD", sessionToken: "old" };
  let refreshes = 0;
  await using peer = clientOf(
    (request) =>
      request.headers.get("x-amz-security-token") === "new"
        ? Response.json({})
        : jsonError("ExpiredTokenException", "is expired."),
    {
      credentials: () => Promise.resolve(current),
      refreshCredentials: () => {
        refreshes++;
        current = fresh;
        return Promise.resolve();
      },
    },
  );
  await peer.client.send(CALL);
  assert.equal(refreshes, 1);
  assert.equal(peer.server.requests.length, 2);
});

Deno.test("send() does not repeat a call with the credentials that have expired", async () => {
  await using peer = clientOf(() => jsonError("ExpiredTokenException", "is expired."));
  assert.equal((await failure(peer.client.send(CALL))).code, "credentials-expired");
  assert.equal(peer.server.requests.length, 1);
});

Deno.test("send() says why there are no new credentials", async () => {
  await using peer = clientOf(() => jsonError("ExpiredTokenException", "is expired."), {
    refreshCredentials: () => Promise.reject(new Error("The SSO login has expired")),
  });
  await assert.rejects(peer.client.send(CALL), /The SSO login has expired/);
});

Deno.test("send() tries new credentials on a denial only if it is asked to", async () => {
  let token = 0;
  const credentials = () => Promise.resolve({ ...KEYS, sessionToken: String(token++) });
  await using peer = clientOf(() => jsonError("AccessDeniedException", "no"), { credentials });
  assert.equal((await failure(peer.client.send(CALL))).code, "aws-access-denied");
  assert.equal(peer.server.requests.length, 1);
  await failure(peer.client.send({ ...CALL, renewOnDenied: true }));
  assert.equal(peer.server.requests.length, 3);
});

Deno.test("send() throws what the credential source throws, without a request", async () => {
  await using peer = clientOf(() => Response.json({}), {
    credentials: () => Promise.reject(new Error("no keys")),
  });
  await assert.rejects(peer.client.send(CALL), /no keys/);
  assert.equal(peer.server.requests.length, 0);
});

Deno.test("send() recognises a captive portal by its page and by its redirect", async () => {
  await using peer = clientOf((_request, index) =>
    index === 0
      ? new Response("<!doctype html><title>Hotel Wi-Fi</title>")
      : Response.redirect("http://login.hotel.example/", 302)
  );
  const page = await failure(peer.client.send(CALL));
  assert.equal(page.code, "aws-unreachable");
  assert.match(page.message, /the answer is the web page "Hotel Wi-Fi" with HTTP status 200$/);
  const redirect = await failure(peer.client.send(CALL));
  assert.match(redirect.message, /the answer is a redirect to login\.hotel\.example$/);
  assert.equal(peer.server.requests.length, 2);
});

Deno.test("send() names the host of a refused connection", async () => {
  const port = closedPort();
  await using peer = clientOf(() => Response.json({}), {
    env: { AWS_ENDPOINT_URL_SSM: `http://127.0.0.1:${port}` },
    attempts: 2,
  });
  const error = await failure(skipDelays(peer.clock, peer.client.send(CALL)));
  assert.equal(error.code, "aws-unreachable");
  assert.equal(
    error.message,
    `Could not reach 127.0.0.1:${port} for ssm:StartSession: the connection was refused`,
  );
});

Deno.test("send() checks the region's syntax before it looks for a host", async () => {
  await using peer = clientOf(() => Response.json({}), { region: "eu-west" });
  const error = await failure(peer.client.send(CALL));
  assert.equal(error.code, "aws-region-invalid");
  assert.equal(peer.server.requests.length, 0);
});

Deno.test("send() goes through a proxy and says so when the proxy refuses", async () => {
  const directory = await Deno.makeTempDir();
  try {
    const { bundlePath, server: keys } = await makeAuthority(directory);
    await using server = serve(() => Response.json({}), keys);
    const send = async (options: { refuse?: string; bundle?: boolean }) => {
      await using proxy = startProxy({ to: server.port, ...options });
      const bundle = options.bundle === false ? undefined : bundlePath;
      using network = createNetwork({
        env: { HTTPS_PROXY: `http://jane:hunter2@${proxy.host}`, AWS_CA_BUNDLE: bundle },
      });
      const credentials = () => Promise.resolve(KEYS);
      const client = createAwsClient({
        credentials,
        region: "eu-west-1",
        network,
        endpoints: { ssm: `https://${FAR_HOST}` },
        clock: new FakeClock(),
        attempts: 1,
      });
      return (await client.send(CALL)).status;
    };
    assert.equal(await send({}), 200);
    assert.equal(server.requests[0]!.url, `https://${FAR_HOST}/`);

    const denied = await failure(send({ refuse: "HTTP/1.1 403 Forbidden\r\n\r\n" }));
    assert.match(
      denied.message,
      /^Could not reach 192\.0\.2\.10 through the proxy 127\.0\.0\.1:\d+ for/,
    );
    const login = await failure(send({ refuse: "HTTP/1.1 407 Login\r\n\r\n" }));
    assert.match(login.message, /the proxy wants a user name and password$/);
    assert.doesNotMatch(denied.message + login.message, /hunter2/);

    const distrusted = await failure(send({ bundle: false }));
    assert.match(distrusted.message, /the certificate is not trusted$/);
    assert.match(distrusted.hint, /AWS_CA_BUNDLE/);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("signUpgrade() and rewriteStreamUrl() serve the data channel", async () => {
  const network = createNetwork({ env: {} });
  const { signUpgrade, rewriteStreamUrl } = createAwsClient({
    credentials: () => Promise.resolve(KEYS),
    region: "eu-west-1",
    network,
    endpoints: { ssmmessages: "ws://127.0.0.1:8081" },
    clock: new FakeClock(),
  });
  const url = rewriteStreamUrl("wss://ssmmessages.eu-west-1.amazonaws.com/v1/x?cell-number=a+b/=");
  assert.equal(url, "ws://127.0.0.1:8081/v1/x?cell-number=a+b/=");
  const headers = await signUpgrade(url, KEYS);
  assert.equal(
    headers.get("authorization"),
    await expectedAuthorization({ method: "GET", url: url.replace("ws:", "http:"), headers: {} }, {
      service: "ssmmessages",
      region: "eu-west-1",
      credentials: KEYS,
      now: Date.UTC(2025, 0, 1),
    }),
  );
  network.close();
});
