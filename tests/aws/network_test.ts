import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { createNetwork } from "../../lib/aws/mod.ts";
import { isAwsocksError } from "../../lib/core/mod.ts";
import { type Authority, closedPort, FAR_HOST, makeAuthority, serve, startProxy } from "./peers.ts";

let directory: string;
let authority: Authority;

Deno.test.beforeAll(async () => {
  directory = await Deno.makeTempDir();
  authority = await makeAuthority(directory);
});
Deno.test.afterAll(() => Deno.remove(directory, { recursive: true }));

const answer = () => new Response("from the server");

Deno.test("fetch() needs nothing from an empty environment", async () => {
  await using server = serve(answer);
  using network = createNetwork({ env: {} });
  assert.equal(await (await network.fetch(server.url)).text(), "from the server");
  assert.deepEqual(network.caCerts, []);
  assert.equal(network.proxyFor("https://ssm.eu-west-1.amazonaws.com/"), undefined);
});

Deno.test("fetch() trusts AWS_CA_BUNDLE, and only with it", async () => {
  await using server = serve(answer, authority.server);
  using without = createNetwork({ env: {} });
  await assert.rejects(without.fetch(server.url));
  using network = createNetwork({ env: { AWS_CA_BUNDLE: authority.bundlePath } });
  assert.equal(await (await network.fetch(server.url)).text(), "from the server");
  assert.equal(network.caCerts.length, 1);
});

Deno.test("fetch() goes through HTTPS_PROXY, with its user and password", async () => {
  await using server = serve(answer, authority.server);
  await using proxy = startProxy({ to: server.port });
  using network = createNetwork({
    env: { HTTPS_PROXY: `http://jane:p%40ss@${proxy.host}`, AWS_CA_BUNDLE: authority.bundlePath },
  });
  const response = await network.fetch(`https://${FAR_HOST}/path`);
  assert.equal(await response.text(), "from the server");
  assert.equal(server.requests[0]!.url, `https://${FAR_HOST}/path`);
  assert.match(proxy.requests[0]!, new RegExp(`^CONNECT ${FAR_HOST}:443 HTTP/1.1\r\n`));
  const credentials = /proxy-authorization: Basic (\S+)/i.exec(proxy.requests[0]!)![1]!;
  assert.equal(atob(credentials), "jane:p@ss");
});

Deno.test("fetch() goes past the proxy on loopback, which Deno itself would not", async () => {
  await using server = serve(answer, authority.server);
  await using proxy = startProxy({ to: closedPort() });
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--no-check",
      "--allow-net",
      "--allow-env",
      "--allow-read",
      new URL("./fetch_once.ts", import.meta.url).pathname,
      `https://localhost:${server.port}/`,
    ],
    env: { HTTPS_PROXY: `http://${proxy.host}`, AWS_CA_BUNDLE: authority.bundlePath, NO_PROXY: "" },
  }).output();
  assert.equal(code, 0, new TextDecoder().decode(stderr));
  assert.equal(new TextDecoder().decode(stdout), "from the server");
  assert.deepEqual(proxy.requests, []);
});

Deno.test("createNetwork() reads every certificate of a bundle", async () => {
  const path = `${directory}/bundle.pem`;
  const own = await Deno.readTextFile(authority.bundlePath);
  await Deno.writeTextFile(path, `# two\r\n${own}\r\nbetween\n${authority.server.cert}`);
  using network = createNetwork({ env: { AWS_CA_BUNDLE: path } });
  assert.equal(network.caCerts.length, 2);
  for (const cert of network.caCerts) assert.match(cert, /^-----BEGIN[^]*END CERTIFICATE-----$/);
});

Deno.test("createNetwork() names a bundle that it cannot use", async () => {
  const missing = `${directory}/missing.pem`;
  assert.throws(
    () => createNetwork({ env: { AWS_CA_BUNDLE: missing } }),
    (error) => isAwsocksError(error, "config-unreadable") && error.message.includes(missing),
  );
  const empty = `${directory}/empty.pem`;
  await Deno.writeTextFile(empty, "not a certificate");
  assert.throws(
    () => createNetwork({ env: { AWS_CA_BUNDLE: empty } }),
    (error) => isAwsocksError(error, "config-invalid") && error.message.includes(empty),
  );
});

Deno.test("an idle connection is used again soon, and not for long", async () => {
  let connections = 0;
  const server = createServer((_request, response) => response.end("from the server"));
  server.keepAliveTimeout = 60_000;
  server.on("connection", () => connections++);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  {
    using network = createNetwork({ env: {}, idleTimeout: 300 });
    const call = async () => await (await network.fetch(`http://127.0.0.1:${port}/`)).text();
    await call();
    await call();
    assert.equal(connections, 1);
    await new Promise((resolve) => setTimeout(resolve, 700));
    await call();
    assert.equal(connections, 2);
  }
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

Deno.test("close() can be called twice and ends the network", async () => {
  const network = createNetwork({ env: { HTTPS_PROXY: "http://127.0.0.1:9" } });
  network.close();
  network.close();
  await assert.rejects(
    network.fetch("https://a.test/"),
    (error) => isAwsocksError(error, "aborted"),
  );
});
