import assert from "node:assert/strict";
import { listAwsProfiles, resolveRegion } from "../../lib/credentials/mod.ts";
import { TempHome } from "./support/temp.ts";

const CONFIG = `
[default]
region = eu-west-1
[profile dev]
region = eu-central-1
[profile role]
role_arn = arn:aws:iam::123456789012:role/x
source_profile = dev
[profile sso]
sso_session = org
sso_account_id = 123456789012
[sso-session org]
sso_region = us-west-2
`;

const cases: { name: string; profile?: string; region?: string; env?: object; want?: string }[] = [
  { name: "setting wins", region: "a", profile: "dev", env: { AWS_REGION: "b" }, want: "a" },
  {
    name: "AWS_REGION before AWS_DEFAULT_REGION",
    env: { AWS_REGION: "b", AWS_DEFAULT_REGION: "c" },
    want: "b",
  },
  {
    name: "AWS_DEFAULT_REGION before the profile",
    profile: "dev",
    env: { AWS_DEFAULT_REGION: "c" },
    want: "c",
  },
  { name: "empty variables count as unset", env: { AWS_REGION: "" }, want: "eu-west-1" },
  { name: "region of the profile", profile: "dev", want: "eu-central-1" },
  { name: "AWS_PROFILE", env: { AWS_PROFILE: "dev" }, want: "eu-central-1" },
  {
    name: "AWS_DEFAULT_PROFILE after AWS_PROFILE",
    env: { AWS_DEFAULT_PROFILE: "dev" },
    want: "eu-central-1",
  },
  { name: "profile setting before AWS_PROFILE", profile: "cred", env: { AWS_PROFILE: "dev" } },
  { name: "default profile", want: "eu-west-1" },
  { name: "no region of the source profile", profile: "role" },
  { name: "no region of the SSO session", profile: "sso" },
  { name: "unknown profile", profile: "nobody" },
];

for (const { name, want, env, ...options } of cases) {
  Deno.test(`resolveRegion(): ${name}`, async () => {
    await using home = await TempHome.create({
      ".aws/config": CONFIG,
      ".aws/credentials": "[cred]\naws_access_key_id=x\n",
    });
    assert.equal(await resolveRegion({ ...options, env: home.env({ ...env }) }), want);
  });
}

Deno.test("resolveRegion() without any file is undefined", async () => {
  await using home = await TempHome.create();
  assert.equal(await resolveRegion({ env: home.env() }), undefined);
});

Deno.test("resolveRegion() takes the files that the environment names, ~ included", async () => {
  await using home = await TempHome.create({ "elsewhere/cfg": "[default]\nregion = sa-east-1\n" });
  const env = { AWS_CONFIG_FILE: "~/elsewhere/cfg" };
  assert.equal(await resolveRegion({ env, home: home.path }), "sa-east-1");
});

Deno.test("resolveRegion() prefers the credentials file where both name a region", async () => {
  await using home = await TempHome.create({
    ".aws/config": CONFIG,
    ".aws/credentials": "[dev]\nregion = ca-central-1\n",
  });
  assert.equal(await resolveRegion({ profile: "dev", env: home.env() }), "ca-central-1");
});

Deno.test("listAwsProfiles() names the profiles of both files once", async () => {
  await using home = await TempHome.create({
    ".aws/config": CONFIG + "[not-a-profile]\n[services x]\n",
    ".aws/credentials": "[dev]\n[cred]\n",
  });
  assert.deepEqual(await listAwsProfiles({ env: home.env() }), [
    "cred",
    "default",
    "dev",
    "role",
    "sso",
  ]);
});

Deno.test("listAwsProfiles() without files is empty", async () => {
  await using home = await TempHome.create();
  assert.deepEqual(await listAwsProfiles({ env: {}, home: home.path }), []);
});
