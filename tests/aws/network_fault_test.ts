import assert from "node:assert/strict";
import { createAwsClient, createNetwork } from "../../lib/aws/mod.ts";
import { networkFault } from "../../lib/aws/network_fault.ts";
import { isAwsocksError } from "../../lib/core/mod.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { KEYS } from "./client_peer.ts";
import { closedPort, FAR_HOST, makeAuthority, serve, startProxy } from "./peers.ts";

// Each fault is a real one, so that a new Deno with other words fails here and not at a user's.

async function faultOf(url: string, env: Record<string, string> = {}) {
  using network = createNetwork({ env });
  try {
    await (await network.fetch(url)).body?.cancel();
  } catch (error) {
    return networkFault(error);
  }
  assert.fail("It did not fail");
}

/** No server is asked for a name with a label of more than 63 characters (RFC 1035). */
const NO_NAME = `${"x".repeat(64)}.test`;

Deno.test("networkFault() knows a name that does not resolve", async () => {
  assert.deepEqual(await faultOf(`http://${NO_NAME}/`), {
    kind: "dns",
    reason: "the name cannot be resolved",
  });
});

Deno.test("networkFault() knows a refused connection", async () => {
  assert.deepEqual(await faultOf(`http://127.0.0.1:${closedPort()}/`), {
    kind: "connection",
    reason: "the connection was refused",
  });
});

Deno.test("networkFault() knows a connection that breaks", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const closing = listener.accept().then((conn) => conn.close());
  assert.deepEqual(await faultOf(`http://127.0.0.1:${listener.addr.port}/`), {
    kind: "connection",
    reason: "the connection broke",
  });
  await closing;
  listener.close();
});

Deno.test("networkFault() tells certificates that are not trusted from those for other names", async () => {
  const directory = await Deno.makeTempDir();
  try {
    const authority = await makeAuthority(directory, ["127.0.0.1"]);
    await using server = serve(() => new Response(), authority.server);
    assert.deepEqual(await faultOf(server.url), {
      kind: "certificate",
      reason: "the certificate is not trusted",
    });
    await using proxy = startProxy({ to: server.port });
    const env = {
      AWS_CA_BUNDLE: authority.bundlePath,
      HTTPS_PROXY: `http://${proxy.host}`,
    };
    assert.deepEqual(await faultOf(`https://${FAR_HOST}/`, env), {
      kind: "certificate",
      reason: "the certificate is not valid for this name",
    });
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("networkFault() knows a server that does not speak TLS", async () => {
  await using server = serve(() => new Response());
  assert.deepEqual(await faultOf(`https://127.0.0.1:${server.port}/`), {
    kind: "certificate",
    reason: "the answer is not TLS",
  });
});

Deno.test.each([
  ["HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "proxy-auth"],
  ["HTTP/1.1 503 Service Unavailable\r\n\r\n", "proxy"],
  ["", "proxy"],
])("networkFault() knows a proxy that answers %j", async (refuse, kind) => {
  await using proxy = startProxy({ to: closedPort(), refuse });
  const fault = await faultOf(`https://${FAR_HOST}/`, { HTTPS_PROXY: `http://${proxy.host}` });
  assert.equal(fault.kind, kind);
});

Deno.test("networkFault() keeps the words of a fault that it does not know", () => {
  const error = new TypeError("fetch failed", {
    cause: new Error("error sending: moon in the way"),
  });
  assert.deepEqual(networkFault(error), { kind: "connection", reason: "moon in the way" });
});

Deno.test("a name that does not resolve means a wrong region, if the region is not known", async () => {
  const send = async (region: string, proxy?: string) => {
    using network = createNetwork({ env: {} });
    const client = createAwsClient({
      credentials: () => Promise.resolve(KEYS),
      region,
      clock: new FakeClock(),
      attempts: 1,
      // Asks for a name that needs no resolver; the URL that is judged stays the region's.
      network: {
        ...network,
        proxyFor: () => proxy,
        fetch: (_url, init) => network.fetch(`http://${NO_NAME}/`, init),
      },
    });
    try {
      await client.send({ service: "ec2", operation: "DescribeInstances" });
    } catch (error) {
      assert(isAwsocksError(error));
      return `${error.code}: ${error.message}`;
    }
    assert.fail("It did not fail");
  };
  assert.equal(
    await send("eu-wset-1"),
    'aws-region-invalid: ec2.eu-wset-1.amazonaws.com does not exist: "eu-wset-1" is not a known AWS ' +
      "region; the nearest is eu-west-1",
  );
  assert.equal(
    await send("eu-west-1"),
    "aws-unreachable: Could not reach ec2.eu-west-1.amazonaws.com for ec2:DescribeInstances: " +
      "the name cannot be resolved",
  );
  // Behind a proxy the name that failed is the proxy's own.
  assert.match(await send("eu-wset-1", "http://proxy.test:3128/"), /^aws-unreachable/);
});
