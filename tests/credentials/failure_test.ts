/**
 * What the user is told when credentials cannot be loaded, each from the real cause, in a process of
 * its own.
 */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import type { Environment } from "../../lib/credentials/mod.ts";
import type { Task } from "./support/child.ts";
import {
  type Answer,
  awsJson,
  inAnHour,
  loadInChild,
  Peer,
  ssoPortal,
  sts,
  stsError,
} from "./support/peers.ts";
import { keys, TempHome } from "./support/temp.ts";

const ROLE = "role_arn = arn:aws:iam::123456789012:role/r\n";
const ROLE_FILES = {
  ".aws/config": `[profile r]\n${ROLE}source_profile = base\n`,
  ".aws/credentials": keys("base", "AKIDBASE"),
};
const SSO_CONFIG = "[profile dev]\nsso_session = org\nsso_account_id = 123456789012\n" +
  "sso_role_name = Dev\n[sso-session org]\nsso_region = eu-west-3\nsso_start_url = https://o\n";
const ssoFile = `.aws/sso/cache/${createHash("sha1").update("org").digest("hex")}.json`;
const LONG_AGO = "2020-01-01T00:00:00Z";

function token(accessToken: string, expiresAt: string, more: object = {}): string {
  return JSON.stringify({ accessToken, expiresAt, ...more });
}

const REFRESHABLE = { clientId: "c", clientSecret: "client-secret", refreshToken: "refresh-token" };

interface Scene {
  readonly name: string;
  readonly files?: Record<string, string>;
  readonly env?: Environment;
  readonly task?: Task;
  readonly answers?: Answer[];
  readonly code: string;
  readonly message: RegExp;
  readonly hint: RegExp;
  /** Requests that may be made; default as many as needed. */
  readonly requests?: number;
}

const scenes: Scene[] = [
  {
    name: "nothing configured",
    code: "credentials-missing",
    message: /^No AWS credentials found: neither the environment nor the default AWS profile holds/,
    hint: /AWS_PROFILE/,
    requests: 0,
  },
  {
    name: "a misspelt profile, without a look anywhere else",
    files: { ".aws/config": keys("profile production", "A") + keys("profile dev", "B") },
    env: { AWS_EC2_METADATA_DISABLED: undefined },
    task: { profile: "prodution" },
    code: "credentials-missing",
    message: /^There is no AWS profile prodution; did you mean production\?$/,
    hint: /dev, production/,
    requests: 0,
  },
  {
    name: "a profile when there is none at all",
    env: { AWS_PROFILE: "dev" },
    code: "credentials-missing",
    message: /^There is no AWS profile dev$/,
    hint: /aws configure/,
  },
  {
    name: "a source profile that does not exist",
    files: { ".aws/config": `[profile r]\n${ROLE}source_profile = bas\n[profile base]\n` },
    task: { profile: "r" },
    code: "credentials-missing",
    message:
      /^AWS profile r takes its credentials from AWS profile bas, which does not exist; did you mean base\?$/,
    hint: /base, r/,
  },
  {
    name: "half a profile",
    files: { ".aws/config": `[profile r]\n${ROLE}` },
    task: { profile: "r" },
    code: "credentials-invalid",
    message: /^AWS profile r has role_arn but neither source_profile nor credential_source$/,
    hint: /config file/,
  },
  {
    name: "an instance without a role",
    env: { AWS_EC2_METADATA_DISABLED: undefined },
    answers: [({ path }) => path === "/latest/api/token" ? new Response("t") : undefined],
    code: "credentials-missing",
    message: /this instance has no IAM role$/,
    hint: /AWS_PROFILE/,
  },
  {
    name: "instance metadata that refuses",
    env: { AWS_EC2_METADATA_DISABLED: undefined },
    answers: [() => new Response("", { status: 403 })],
    code: "credentials-missing",
    message: /the instance metadata service answered with status 403$/,
    hint: /AWS_PROFILE/,
  },
  {
    name: "no SSO login yet",
    files: { ".aws/config": SSO_CONFIG },
    task: { profile: "dev" },
    code: "credentials-expired",
    message: /^The login of AWS profile dev has expired or was never made$/,
    hint: /`aws sso login --profile dev`/,
    requests: 0,
  },
  {
    name: "an SSO login that has expired",
    files: { ".aws/config": SSO_CONFIG, [ssoFile]: token("t", LONG_AGO) },
    task: { profile: "dev" },
    code: "credentials-expired",
    message: /^The login of AWS profile dev has expired/,
    hint: /`aws sso login --profile dev`/,
  },
  {
    name: "an SSO login of the source profile that has expired",
    files: {
      ".aws/config": `${SSO_CONFIG}[profile r]\n${ROLE}source_profile = dev\n`,
      [ssoFile]: token("t", LONG_AGO),
    },
    task: { profile: "r" },
    code: "credentials-expired",
    message: /^The login of AWS profile r has expired/,
    hint: /`aws sso login --profile dev`/,
  },
  {
    name: "an SSO login that was revoked",
    files: { ".aws/config": SSO_CONFIG, [ssoFile]: token("revoked", inAnHour()) },
    task: { profile: "dev" },
    answers: [ssoPortal("good", "AKIDSSO")],
    code: "credentials-expired",
    message: /^The login of AWS profile dev has expired/,
    hint: /`aws sso login --profile dev`/,
  },
  {
    name: "an SSO login that cannot be refreshed any more",
    files: { ".aws/config": SSO_CONFIG, [ssoFile]: token("old", LONG_AGO, REFRESHABLE) },
    task: { profile: "dev" },
    answers: [
      ({ path }) =>
        path === "/token"
          ? awsJson({ error: "invalid_grant" }, 400, "InvalidGrantException")
          : undefined,
    ],
    code: "credentials-expired",
    message: /^The login of AWS profile dev has expired/,
    hint: /`aws sso login --profile dev`/,
    requests: 1,
  },
  {
    name: "an SSO role that is not assigned",
    files: { ".aws/config": SSO_CONFIG, [ssoFile]: token("good", inAnHour()) },
    task: { profile: "dev" },
    answers: [() => awsJson({ message: "No access" }, 403, "ForbiddenException")],
    code: "credentials-invalid",
    message: /IAM Identity Center refuses role Dev in account 123456789012$/,
    hint: /sso_role_name/,
  },
  {
    name: "no login with aws login yet",
    files: { ".aws/config": "[profile me]\nlogin_session = arn\n" },
    task: { profile: "me" },
    code: "credentials-expired",
    message: /^The login of AWS profile me has expired or was never made$/,
    hint: /`aws login --profile me`/,
  },
  {
    name: "keys that AWS does not know, without the service's words",
    files: ROLE_FILES,
    task: { profile: "r" },
    answers: [stsError(403, "SignatureDoesNotMatch", "x-amz-security-token:leaked")],
    code: "credentials-invalid",
    message: /AWS does not accept the keys \(SignatureDoesNotMatch\)$/,
    hint: /does not know these keys/,
  },
  {
    name: "a role that may not be assumed",
    files: ROLE_FILES,
    task: { profile: "r" },
    answers: [stsError(403, "AccessDenied", "User x may not perform sts:AssumeRole.")],
    code: "credentials-invalid",
    message:
      /^Loading credentials of AWS profile r failed: User x may not perform sts:AssumeRole \(AccessDenied\)$/,
    hint: /trust policy/,
  },
  {
    name: "source keys that have expired",
    files: ROLE_FILES,
    task: { profile: "r" },
    answers: [stsError(403, "ExpiredToken", "The security token is expired")],
    code: "credentials-expired",
    message: /The security token is expired \(ExpiredToken(Exception)?\)$/,
    hint: /log in again/,
  },
  {
    name: "STS out of order",
    files: ROLE_FILES,
    task: { profile: "r" },
    answers: [() => new Response("out of order", { status: 503 })],
    code: "aws-unavailable",
    message: /answered with status 503$/,
    hint: /^$/,
  },
  {
    name: "STS out of reach",
    files: ROLE_FILES,
    // Port 1 of loopback: nobody listens there.
    task: { profile: "r", stsEndpoint: "http://127.0.0.1:1" },
    code: "aws-unreachable",
    message: /no answer of 127\.0\.0\.1:1$/,
    hint: /HTTPS_PROXY/,
  },
  {
    name: "a process that fails, with its own words but not its command line",
    files: {
      ".aws/config":
        "[profile p]\ncredential_process = sh -c 'echo please log in. >&2; exit 3' secret-of-p\n",
    },
    task: { profile: "p" },
    code: "credentials-invalid",
    message: /AWS profile p failed: its credential_process ended with: please log in$/,
    hint: /by hand/,
  },
  {
    name: "a process that says nonsense",
    files: { ".aws/config": "[profile p]\ncredential_process = echo secret-of-p\n" },
    task: { profile: "p" },
    code: "credentials-invalid",
    message: /Profile p credential_process returned invalid JSON$/,
    hint: /by hand/,
  },
  {
    name: "a web identity token that is not there",
    env: { AWS_WEB_IDENTITY_TOKEN_FILE: "/nowhere/token", AWS_ROLE_ARN: "arn:aws:iam::1:role/r" },
    code: "credentials-invalid",
    message: /web identity token \/nowhere\/token failed: .*ENOENT/,
    hint: /AWS_WEB_IDENTITY_TOKEN_FILE/,
    requests: 0,
  },
  {
    name: "an MFA code with nobody to ask",
    files: {
      ".aws/config": `[profile r]\n${ROLE}source_profile = base\nmfa_serial = arn:mfa/me\n`,
      ".aws/credentials": keys("base", "AKIDBASE"),
    },
    task: { profile: "r" },
    answers: [sts("AKIDROLE")],
    code: "credentials-missing",
    message: /^AWS profile r needs a code of MFA device arn:mfa\/me and there is nobody to ask$/,
    hint: /terminal/,
    requests: 0,
  },
  {
    name: "keys in the environment that have expired",
    env: {
      AWS_ACCESS_KEY_ID: "a",
      AWS_SECRET_ACCESS_KEY: "secret-of-a",
      AWS_CREDENTIAL_EXPIRATION: LONG_AGO,
    },
    code: "credentials-expired",
    message: /expired at 2020-01-01T00:00:00\.000Z$/,
    hint: /log in again/,
  },
];

for (const { name, files, env, task, answers, code, message, hint, requests } of scenes) {
  Deno.test(`failure of credentials: ${name}`, async () => {
    await using server = new Peer(...answers ?? []);
    await using home = await TempHome.create(files);
    const where = home.env({
      AWS_ENDPOINT_URL: server.url,
      AWS_EC2_METADATA_SERVICE_ENDPOINT: server.url,
      AWS_REGION: "eu-central-1",
      ...env,
    });
    const outcome = await loadInChild(where, task);
    assert.equal(outcome.credentials, undefined);
    assert.equal(outcome.error?.code, code, outcome.error?.message);
    assert.match(outcome.error?.message ?? "", message);
    assert.match(outcome.error?.hint ?? "", hint);
    const log = outcome.log.join("\n");
    assert.match(log, /Loading AWS credentials failed.* retryIn="10 s"|needs a code of MFA/);
    assert.ok(
      !/secret-of|leaked|client-secret|refresh-token/.test(log + outcome.error?.message),
      log,
    );
    if (requests !== undefined) assert.equal(server.seen.length, requests);
  });
}

Deno.test("failure of credentials: a container that refuses is reported as it is", async () => {
  await using server = new Peer(() => Response.json({ Code: "AccessDenied" }, { status: 403 }));
  await using home = await TempHome.create();
  const url = `${server.url}/container`;
  const outcome = await loadInChild(
    home.env({ AWS_CONTAINER_CREDENTIALS_FULL_URI: url, AWS_EC2_METADATA_DISABLED: undefined }),
  );
  assert.equal(outcome.error?.code, "credentials-invalid");
  assert.match(outcome.error?.message ?? "", new RegExp(`${url} failed: .*status: 403$`));
});

Deno.test("failure of credentials: silent instance metadata does not hold up a laptop", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const accepted: Deno.Conn[] = [];
  const accepting = (async () => {
    for await (const conn of listener) accepted.push(conn);
  })();
  await using home = await TempHome.create();
  const begin = performance.now();
  const outcome = await loadInChild(
    home.env({
      AWS_EC2_METADATA_DISABLED: undefined,
      AWS_EC2_METADATA_SERVICE_ENDPOINT: `http://127.0.0.1:${listener.addr.port}`,
    }),
    { metadataLimit: 100 },
  );
  assert.equal(outcome.error?.code, "credentials-missing");
  assert.match(outcome.error?.message ?? "", /there is no instance metadata service here$/);
  assert.ok(accepted.length > 0);
  // Two attempts of 100 ms, and the time to start a process; not the minute a load may take.
  assert.ok(performance.now() - begin < 10_000);
  listener.close();
  await accepting;
  for (const conn of accepted) conn.close();
});

Deno.test("a source that fails is reported, and no MFA code is asked for in vain", async () => {
  await using home = await TempHome.create({
    ".aws/config": `[profile r]\n${ROLE}source_profile = p\nmfa_serial = arn:mfa/me\n` +
      "[profile p]\ncredential_process = false\n",
  });
  const outcome = await loadInChild(home.env(), { profile: "r", mfa: "123456" });
  assert.equal(outcome.error?.code, "credentials-invalid");
  assert.match(outcome.error?.message ?? "", /its credential_process failed$/);
  assert.deepEqual(outcome.asked, []);
});

Deno.test("an SSO token about to expire is refreshed and written back", async () => {
  await using server = new Peer(
    ({ path, body }) =>
      path === "/token" && body.includes("refresh-token")
        ? Response.json({ accessToken: "fresh", expiresIn: 3600, refreshToken: "next" })
        : undefined,
    ssoPortal("fresh", "AKIDSSO"),
  );
  await using home = await TempHome.create({
    ".aws/config": SSO_CONFIG,
    [ssoFile]: token("old", LONG_AGO, REFRESHABLE),
  });
  const outcome = await loadInChild(home.env({ AWS_ENDPOINT_URL: server.url }), { profile: "dev" });
  assert.equal(outcome.credentials?.accessKeyId, "AKIDSSO");
  const written = JSON.parse(await Deno.readTextFile(home.at(ssoFile))) as { accessToken: string };
  assert.equal(written.accessToken, "fresh");
});
