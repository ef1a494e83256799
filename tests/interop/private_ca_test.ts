/**
 * `awsocks start` where a company stands between it and AWS: a certificate authority of its own, and an
 * HTTP proxy as the only way out.
 *
 * @module
 */

import assert from "node:assert/strict";
import { curl, interopTest, need } from "../support/external.ts";
import {
  FOREIGN_NEEDS,
  FOREIGN_TEXT,
  type ForeignOptions,
  type ForeignService,
  startForeignService,
} from "../support/foreign_service.ts";
import { makePrivateCa, type PrivateCa, startConnectProxy } from "../support/private_ca.ts";
import { runProgram, startProgram } from "../support/program.ts";

const NEEDS = [...FOREIGN_NEEDS, need("openssl")];
/** No name server knows it: whoever gets there went through the proxy. */
const HOST = "aws.test";

/** A foreign service over TLS and the authority behind it. */
async function withSecureService(
  options: ForeignOptions,
  work: (service: ForeignService, ca: PrivateCa) => Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "awsocks-ca-" });
  try {
    const ca = await makePrivateCa(folder, [`DNS:${HOST}`, "IP:127.0.0.1"]);
    await using service = await startForeignService({ ...options, tls: ca });
    await work(service, ca);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const startArgs = (service: ForeignService) => [
  ...["start", ...service.args, "-l", "127.0.0.1:0", "--no-lazy", "--no-fallback"],
];

/** The page through the proxy, and a clean end. */
async function loadsPage(
  service: ForeignService,
  env: Readonly<Record<string, string>>,
): Promise<void> {
  await using program = startProgram(startArgs(service), { env: { ...service.env, ...env } });
  const [, port] = await program.saw(/listens on 127\.0\.0\.1:(\d+)/);
  const page = await curl(["--socks5-hostname", `127.0.0.1:${port}`, service.site]);
  assert.ok(page.stdout.includes(FOREIGN_TEXT), page.stderr);
  const { code, stderr } = await program.stop();
  assert.equal(code, 0, stderr);
}

interopTest("private CA: AWS_CA_BUNDLE is trusted for https: and wss:", NEEDS, async () => {
  await withSecureService({ bye: 1_500 }, async (service, { bundle }) => {
    await loadsPage(service, { AWS_CA_BUNDLE: bundle });
    const { refused, sessions } = await service.report();
    assert.deepEqual(refused, []);
    assert.deepEqual(sessions.map(({ live }) => live), [false]);
    assert.ok(sessions[0]!.resumes > 0, "the second WebSocket trusts it too");
  });
});

interopTest(
  "private CA: without the bundle nothing is trusted, and the message says so",
  NEEDS,
  async () => {
    await withSecureService({}, async (service) => {
      const { code, stderr } = await runProgram(startArgs(service), { env: service.env });
      assert.notEqual(code, 0);
      assert.match(stderr, /the certificate is not trusted\ntry: .*AWS_CA_BUNDLE/);
      assert.deepEqual((await service.report()).sessions, []);
    });
  },
);

interopTest("private CA: API and WebSocket go through an HTTP proxy", NEEDS, async () => {
  await withSecureService({ host: HOST }, async (service, { bundle }) => {
    await using proxy = startConnectProxy();
    await loadsPage(service, { AWS_CA_BUNDLE: bundle, HTTPS_PROXY: proxy.url });
    const { sessions } = await service.report();
    assert.deepEqual(sessions.map(({ live }) => live), [false]);
    const ports = new Set(proxy.destinations);
    assert.equal(ports.size, 2, `${[...ports]}`);
    assert.ok(proxy.destinations.every((each) => each.startsWith(`${HOST}:`)));
  });
});
