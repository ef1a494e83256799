/**
 * Every source of the chain against real peers on loopback, each in a process of its own.
 */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import type { Environment } from "../../lib/credentials/mod.ts";
import type { Task } from "./support/child.ts";
import {
  inAnHour,
  instanceMetadata,
  loadInChild,
  metadataCredentials,
  Peer,
  ssoPortal,
  sts,
} from "./support/peers.ts";
import { expectedAuthorization } from "./support/signature.ts";
import { keys, TempHome } from "./support/temp.ts";

const ROLE = "role_arn = arn:aws:iam::123456789012:role/r\n";

/** A source: files and environment that lead to it, and the key id that it gives. */
interface Scene {
  readonly name: string;
  readonly files?: (url: string) => Record<string, string>;
  readonly env?: (url: string, home: TempHome) => Environment;
  readonly task?: Task;
  readonly want: string;
}

const SSO_TOKEN = JSON.stringify({
  accessToken: "good-token",
  expiresAt: inAnHour(),
  region: "eu-west-3",
  startUrl: "https://org.awsapps.com/start",
});
const ssoFile = `.aws/sso/cache/${createHash("sha1").update("org").digest("hex")}.json`;
const legacyFile = `.aws/sso/cache/${
  createHash("sha1").update("https://org.awsapps.com/start").digest("hex")
}.json`;
const SSO_SETTINGS = "sso_account_id = 123456789012\nsso_role_name = Dev\n";
const SSO_SESSION =
  "[sso-session org]\nsso_region = eu-west-3\nsso_start_url = https://org.awsapps.com/start\n";
const LOGIN_SESSION = "arn:aws:iam::123456789012:user/me";
const loginFile = `.aws/login/cache/${
  createHash("sha256").update(LOGIN_SESSION).digest("hex")
}.json`;

const PROCESS_OUTPUT = JSON.stringify({
  Version: 1,
  AccessKeyId: "AKIDPROCESS",
  SecretAccessKey: "process-secret",
  SessionToken: "process-token",
  Expiration: inAnHour(),
});

const scenes: Scene[] = [
  {
    name: "environment",
    env: () => ({
      AWS_ACCESS_KEY_ID: "AKIDENV",
      AWS_SECRET_ACCESS_KEY: "env-secret",
      AWS_SESSION_TOKEN: "env-token",
    }),
    want: "AKIDENV",
  },
  {
    name: "default profile",
    files: () => ({ ".aws/credentials": keys("default", "AKIDDEFAULT") }),
    want: "AKIDDEFAULT",
  },
  {
    name: "profile of the config file by AWS_PROFILE",
    files: () => ({ ".aws/config": keys("profile dev", "AKIDDEV") }),
    env: () => ({ AWS_PROFILE: "dev" }),
    want: "AKIDDEV",
  },
  {
    name: "files named by the environment",
    files: () => ({ "elsewhere/keys": keys("dev", "AKIDELSEWHERE") }),
    env: (_url, home) => ({ AWS_SHARED_CREDENTIALS_FILE: home.at("elsewhere/keys") }),
    task: { profile: "dev" },
    want: "AKIDELSEWHERE",
  },
  {
    name: "profile before keys in the environment",
    files: () => ({ ".aws/credentials": keys("dev", "AKIDDEV") }),
    env: () => ({ AWS_ACCESS_KEY_ID: "AKIDENV", AWS_SECRET_ACCESS_KEY: "x" }),
    task: { profile: "dev" },
    want: "AKIDDEV",
  },
  {
    name: "role by source_profile",
    files: () => ({
      ".aws/config": `[profile r]\n${ROLE}source_profile = base\n`,
      ".aws/credentials": keys("base", "AKIDBASE"),
    }),
    task: { profile: "r" },
    want: "AKIDROLE",
  },
  {
    name: "role by credential_source Environment",
    files: () => ({ ".aws/config": `[profile r]\n${ROLE}credential_source = Environment\n` }),
    env: () => ({ AWS_ACCESS_KEY_ID: "AKIDENV", AWS_SECRET_ACCESS_KEY: "x" }),
    task: { profile: "r" },
    want: "AKIDROLE",
  },
  {
    name: "role by credential_source Ec2InstanceMetadata",
    files: () => ({
      ".aws/config": `[profile r]\n${ROLE}credential_source = Ec2InstanceMetadata\n`,
    }),
    task: { profile: "r" },
    want: "AKIDROLE",
  },
  {
    name: "process",
    files: () => ({
      ".aws/config": `[profile p]\ncredential_process = echo '${PROCESS_OUTPUT}'\n`,
    }),
    task: { profile: "p" },
    want: "AKIDPROCESS",
  },
  {
    name: "SSO with a session",
    files: () => ({
      ".aws/config": `[profile s]\nsso_session = org\n${SSO_SETTINGS}${SSO_SESSION}`,
      [ssoFile]: SSO_TOKEN,
    }),
    task: { profile: "s" },
    want: "AKIDSSO",
  },
  {
    name: "SSO without a session",
    files: () => ({
      ".aws/config": "[profile s]\nsso_start_url = https://org.awsapps.com/start\n" +
        `sso_region = eu-west-3\n${SSO_SETTINGS}`,
      [legacyFile]: SSO_TOKEN,
    }),
    task: { profile: "s" },
    want: "AKIDSSO",
  },
  {
    name: "role by a source profile of SSO",
    files: () => ({
      ".aws/config": `[profile r]\n${ROLE}source_profile = s\n` +
        `[profile s]\nsso_session = org\n${SSO_SETTINGS}${SSO_SESSION}`,
      [ssoFile]: SSO_TOKEN,
    }),
    task: { profile: "r" },
    want: "AKIDROLE",
  },
  {
    name: "login session",
    files: () => ({
      ".aws/config": `[profile l]\nlogin_session = ${LOGIN_SESSION}\n`,
      [loginFile]: JSON.stringify({
        accessToken: {
          accessKeyId: "AKIDLOGIN",
          secretAccessKey: "login-secret",
          sessionToken: "login-token",
          accountId: "123456789012",
          expiresAt: inAnHour(),
        },
        clientId: "c",
        refreshToken: "r",
        dpopKey: "k",
      }),
    }),
    task: { profile: "l" },
    want: "AKIDLOGIN",
  },
  {
    name: "web identity by the environment",
    files: () => ({ token: "web-token" }),
    env: (_url, home) => ({
      AWS_WEB_IDENTITY_TOKEN_FILE: home.at("token"),
      AWS_ROLE_ARN: "arn:aws:iam::123456789012:role/web",
    }),
    want: "AKIDROLE",
  },
  {
    name: "container by its full address",
    env: (url) => ({
      AWS_CONTAINER_CREDENTIALS_FULL_URI: `${url}/container?id=1`,
      AWS_CONTAINER_AUTHORIZATION_TOKEN: "container-token",
    }),
    want: "AKIDCONTAINER",
  },
  {
    name: "instance metadata",
    want: "AKIDINSTANCE",
  },
  {
    name: "instance metadata for a profile that says nothing of credentials",
    files: () => ({ ".aws/config": "[profile bare]\nregion = eu-west-1\n" }),
    task: { profile: "bare" },
    want: "AKIDINSTANCE",
  },
];

function peer(): Peer {
  return new Peer(
    sts("AKIDROLE"),
    ssoPortal("good-token", "AKIDSSO"),
    ({ path, headers }) =>
      path === "/container" && headers.get("authorization") === "container-token"
        ? metadataCredentials("AKIDCONTAINER")
        : undefined,
    instanceMetadata("AKIDINSTANCE"),
  );
}

/** Every service of AWS at the peer, the region of which is known. */
function services(url: string): Environment {
  return {
    AWS_ENDPOINT_URL: url,
    AWS_EC2_METADATA_SERVICE_ENDPOINT: url,
    AWS_EC2_METADATA_DISABLED: undefined,
    AWS_REGION: "eu-central-1",
  };
}

for (const { name, files, env, task, want } of scenes) {
  Deno.test(`createCredentials() loads from: ${name}`, async () => {
    await using server = peer();
    await using home = await TempHome.create(files?.(server.url));
    const where = home.env({ ...services(server.url), ...env?.(server.url, home) });
    // The SDK's own chain must come to the same end.
    const [ours, sdk] = await Promise.all([
      loadInChild(where, task),
      loadInChild(where, { ...task, sdk: true }),
    ]);
    assert.equal(ours.error, undefined);
    assert.equal(ours.credentials?.accessKeyId, want);
    assert.equal(sdk.credentials?.accessKeyId, want);
    const { secretAccessKey, sessionToken } = ours.credentials ?? {};
    assert.equal(sdk.credentials?.secretAccessKey, secretAccessKey);
    assert.equal(sdk.credentials?.sessionToken, sessionToken);
    assert.equal(sdk.expiration === undefined, ours.expiration === undefined);
    const log = ours.log.join("\n");
    assert.match(log, /AWS credentials loaded/);
    assert.ok(!log.includes(secretAccessKey ?? "") && !log.includes(sessionToken ?? "-token"), log);
  });
}

Deno.test("SSO is asked in its own region, for account and role of the profile", async () => {
  await using server = peer();
  await using home = await TempHome.create({
    ".aws/config": `[profile s]\nsso_session = org\n${SSO_SETTINGS}${SSO_SESSION}`,
    [ssoFile]: SSO_TOKEN,
  });
  const task = { profile: "s", region: "us-east-2", peer: server.url };
  const outcome = await loadInChild(home.env(), task);
  assert.equal(outcome.credentials?.accessKeyId, "AKIDSSO");
  assert.deepEqual(outcome.hosts, ["portal.sso.eu-west-3.amazonaws.com"]);
  const [request] = server.seen;
  assert.deepEqual(Object.fromEntries(request?.query ?? []), {
    account_id: "123456789012",
    role_name: "Dev",
  });
});

const stsRegions: [string, Task, Environment, string][] = [
  ["the setting", { region: "eu-north-1" }, { AWS_REGION: "us-west-1" }, "sts.eu-north-1"],
  ["the environment", {}, { AWS_REGION: "us-west-1" }, "sts.us-west-1"],
  ["the profile", {}, {}, "sts.eu-west-1"],
];

for (const [what, task, env, host] of stsRegions) {
  Deno.test(`STS is asked in the region of ${what}`, async () => {
    await using server = peer();
    await using home = await TempHome.create({
      ".aws/config": `[profile r]\n${ROLE}source_profile = base\nregion = eu-west-1\n`,
      ".aws/credentials": keys("base", "AKIDBASE"),
    });
    const whole = { profile: "r", peer: server.url, ...task };
    const outcome = await loadInChild(home.env(env), whole);
    assert.equal(outcome.credentials?.accessKeyId, "AKIDROLE");
    assert.deepEqual(outcome.hosts, [`${host}.amazonaws.com`]);
  });
}

Deno.test("STS is asked at the endpoint given, in the region given, with the source's keys", async () => {
  await using server = peer();
  await using home = await TempHome.create({
    ".aws/config": `[profile r]\n${ROLE}source_profile = base\nexternal_id = ext\n` +
      "role_session_name = me\nduration_seconds = 900\nregion = eu-west-1\n",
    ".aws/credentials": keys("base", "AKIDBASE"),
  });
  const outcome = await loadInChild(home.env(), {
    profile: "r",
    region: "ap-southeast-2",
    stsEndpoint: `${server.url}/`,
  });
  assert.equal(outcome.credentials?.accessKeyId, "AKIDROLE");
  const [request] = server.seen;
  const form = Object.fromEntries(new URLSearchParams(request?.body));
  assert.equal(form["Action"], "AssumeRole");
  assert.equal(form["RoleArn"], "arn:aws:iam::123456789012:role/r");
  assert.equal(form["RoleSessionName"], "me");
  assert.equal(form["ExternalId"], "ext");
  assert.equal(form["DurationSeconds"], "900");
  assert.match(
    request?.headers.get("authorization") ?? "",
    /Credential=AKIDBASE\/\d{8}\/ap-southeast-2\/sts\/aws4_request/,
  );
  const base = { accessKeyId: "AKIDBASE", secretAccessKey: "secret-of-AKIDBASE" };
  const scope = { region: "ap-southeast-2", service: "sts" };
  assert.ok(request);
  assert.equal(
    request.headers.get("authorization"),
    await expectedAuthorization(request, base, scope),
  );
});

Deno.test("web identity of a profile goes to the STS endpoint given", async () => {
  await using server = peer();
  await using home = await TempHome.create({ token: "web-token" });
  await home.write(
    ".aws/config",
    `[profile w]\n${ROLE}web_identity_token_file = ${home.at("token")}\n`,
  );
  const outcome = await loadInChild(home.env(), {
    profile: "w",
    region: "eu-central-1",
    stsEndpoint: server.url,
  });
  assert.equal(outcome.credentials?.accessKeyId, "AKIDROLE");
  const form = new URLSearchParams(server.seen[0]?.body);
  assert.equal(form.get("Action"), "AssumeRoleWithWebIdentity");
  assert.equal(form.get("WebIdentityToken"), "web-token");
});

Deno.test("an MFA code is asked for once and goes to STS", async () => {
  await using server = peer();
  await using home = await TempHome.create({
    ".aws/config": `[profile r]\n${ROLE}source_profile = base\nmfa_serial = arn:mfa/me\n`,
    ".aws/credentials": keys("base", "AKIDBASE"),
  });
  const outcome = await loadInChild(home.env(services(server.url)), {
    profile: "r",
    mfa: "123456",
  });
  assert.equal(outcome.credentials?.accessKeyId, "AKIDROLE");
  assert.deepEqual(outcome.asked, ["arn:mfa/me"]);
  const form = new URLSearchParams(server.seen[0]?.body);
  assert.equal(form.get("SerialNumber"), "arn:mfa/me");
  assert.equal(form.get("TokenCode"), "123456");
});
