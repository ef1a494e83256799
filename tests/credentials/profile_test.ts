import assert from "node:assert/strict";
import { parseIni } from "../../lib/credentials/ini.ts";
import { planProfile, type ProfilePlan, tokenFile } from "../../lib/credentials/profile.ts";
import { mergeSharedFiles } from "../../lib/credentials/shared_files.ts";

const PATHS = {
  config: "/h/.aws/config",
  credentials: "/h/.aws/credentials",
  ssoCache: "/h/.aws/sso/cache",
  loginCache: "/h/.aws/login/cache",
};

function plan(name: string, config: string, credentials = ""): ProfilePlan | undefined {
  return planProfile(name, mergeSharedFiles(parseIni(config), parseIni(credentials)), PATHS);
}

function kinds(found: ProfilePlan | undefined): string[] | undefined {
  return found?.links.map(({ name, kind }) => `${name}:${kind}`);
}

const KEYS = "aws_access_key_id=a\naws_secret_access_key=s\n";
const ROLE = "role_arn=arn:aws:iam::1:role/r\n";
const SSO = "sso_account_id=1\nsso_role_name=r\nsso_region=us-east-1\nsso_start_url=https://o\n";

const chains: [string, string, string, string[] | undefined][] = [
  ["static keys", "x", `[profile x]\n${KEYS}`, ["x:static"]],
  ["credential_process", "x", "[profile x]\ncredential_process=p\n", ["x:process"]],
  ["login_session", "x", "[profile x]\nlogin_session=arn\n", ["x:login"]],
  ["SSO with its own settings", "x", `[profile x]\n${SSO}`, ["x:sso"]],
  [
    "SSO with a session",
    "x",
    "[profile x]\nsso_session=o\nsso_account_id=1\nsso_role_name=r\n" +
    "[sso-session o]\nsso_region=us-east-1\nsso_start_url=https://o\n",
    ["x:sso"],
  ],
  [
    "web identity",
    "x",
    `[profile x]\n${ROLE}web_identity_token_file=/t\n`,
    ["x:web-identity"],
  ],
  [
    "role by source_profile",
    "x",
    `[profile x]\n${ROLE}source_profile=y\n[profile y]\n${KEYS}`,
    ["x:assume-role", "y:static"],
  ],
  [
    "role by credential_source",
    "x",
    `[profile x]\n${ROLE}credential_source=Environment\n`,
    ["x:assume-role"],
  ],
  [
    "role of a role of SSO",
    "x",
    `[profile x]\n${ROLE}source_profile=y\n[profile y]\n${ROLE}source_profile=z\n[profile z]\n${SSO}`,
    ["x:assume-role", "y:assume-role", "z:sso"],
  ],
  [
    "role before keys in the profile asked for",
    "x",
    `[profile x]\n${KEYS}${ROLE}source_profile=x\n`,
    ["x:assume-role", "x:static"],
  ],
  [
    "keys before role in a source profile",
    "x",
    `[profile x]\n${ROLE}source_profile=y\n[profile y]\n${KEYS}${ROLE}source_profile=x\n`,
    ["x:assume-role", "y:static"],
  ],
  ["a profile without credentials", "x", "[profile x]\nregion=r\n", undefined],
  ["no such profile", "x", "", undefined],
];

for (const [what, name, config, want] of chains) {
  Deno.test(`planProfile() follows ${what}`, () => {
    const found = plan(name, config);
    assert.deepEqual(kinds(found), want);
    assert.equal(found?.problem, undefined);
  });
}

const problems: [string, string][] = [
  [
    `[profile x]\n${ROLE}source_profile=y\n`,
    "takes its credentials from AWS profile y, which does not exist",
  ],
  [`[profile x]\n${ROLE}`, "has role_arn but neither source_profile nor credential_source"],
  [
    `[profile x]\n${ROLE}source_profile=y\ncredential_source=Environment\n`,
    "has both source_profile and credential_source",
  ],
  ["[profile x]\naws_access_key_id=a\n", "has aws_access_key_id but no aws_secret_access_key"],
  ["[profile x]\naws_secret_access_key=a\n", "has aws_secret_access_key but no aws_access_key_id"],
  ["[profile x]\nsso_session=o\n", "names sso_session o, which does not exist"],
  [
    "[profile x]\nsso_session=o\n[sso-session o]\nsso_region=r\n",
    "lacks sso_account_id, sso_role_name, sso_start_url",
  ],
  [
    `[profile x]\n${ROLE}source_profile=y\n[profile y]\n${ROLE}source_profile=x\n`,
    "goes round in a circle by way of AWS profile y",
  ],
];

for (const [config, text] of problems) {
  Deno.test(`planProfile() finds that a profile ${text}`, () => {
    assert.equal(plan("x", config)?.problem?.text, text);
  });
}

Deno.test("planProfile() says that a source profile holds no credentials", () => {
  const found = plan("x", `[profile x]\n${ROLE}source_profile=y\n[profile y]\nregion=r\n`);
  assert.deepEqual(found?.problem, { profile: "y", text: "holds no credentials" });
});

Deno.test("planProfile() finds the MFA device of any role on the way", () => {
  const config = `[profile x]\n${ROLE}source_profile=y\n` +
    `[profile y]\n${ROLE}source_profile=z\nmfa_serial=arn:mfa\n[profile z]\n${KEYS}`;
  assert.equal(plan("x", config)?.mfaSerial, "arn:mfa");
  assert.equal(plan("z", config)?.mfaSerial, undefined);
});

Deno.test("planProfile() knows the command and the token file of a login", async () => {
  const loginOf = async (name: string, config: string) => {
    const login = plan(name, config)?.login;
    return login && [login.command, await tokenFile(login)];
  };
  const org = "sso_account_id=1\nsso_role_name=r\nsso_session=my-sso\n" +
    "[sso-session my-sso]\nsso_region=r\nsso_start_url=u\n";
  // sha1("my-sso"), as the AWS CLI names the file.
  assert.deepEqual(await loginOf("dev", `[profile dev]\n${org}`), [
    "aws sso login --profile dev",
    "/h/.aws/sso/cache/0ad374308c5a4e22f723adf10145eafad7c4031c.json",
  ]);
  // sha1("https://o") for the form without a session.
  assert.deepEqual(await loginOf("my dev", `[profile "my dev"]\n${SSO}`), [
    "aws sso login --profile 'my dev'",
    "/h/.aws/sso/cache/4f753aee2c9f6e8de02b20dd90b17366ac44b743.json",
  ]);
  // sha256("arn:aws:iam::1:user/u").
  assert.deepEqual(await loginOf("default", "[default]\nlogin_session=arn:aws:iam::1:user/u\n"), [
    "aws login --profile default",
    "/h/.aws/login/cache/67fcf3f2fd37910c1381354667b2fb8dd4682d8b3c07f8b0cc637999d065e74d.json",
  ]);
});
