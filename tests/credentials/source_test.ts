import assert from "node:assert/strict";
import type { Environment } from "../../lib/credentials/mod.ts";
import { parseIni } from "../../lib/credentials/ini.ts";
import { mergeSharedFiles } from "../../lib/credentials/shared_files.ts";
import {
  selectSource,
  type Source,
  sourceFields,
  sourceFingerprint,
} from "../../lib/credentials/source.ts";

const KEYS = { AWS_ACCESS_KEY_ID: "a", AWS_SECRET_ACCESS_KEY: "s" };
const WEB = { AWS_WEB_IDENTITY_TOKEN_FILE: "/t", AWS_ROLE_ARN: "arn" };
const ECS = { AWS_CONTAINER_CREDENTIALS_RELATIVE_URI: "/v2/x" };
const EKS = { AWS_CONTAINER_CREDENTIALS_FULL_URI: "http://169.254.170.23/v1" };
const STATIC = "aws_access_key_id=a\naws_secret_access_key=s\n";
const FILES = `[default]\n${STATIC}[dev]\n${STATIC}[bare]\nregion=r\n`;

function select(env: Environment, text = "", profile?: string): Source {
  const files = mergeSharedFiles(new Map(), parseIni(text));
  return selectSource(profile, files, { env, home: "/h" });
}

const cases: {
  name: string;
  env?: Environment;
  files?: string;
  profile?: string;
  want: object;
}[] = [
  {
    name: "a profile by name before keys in the environment",
    env: KEYS,
    files: FILES,
    profile: "dev",
    want: { source: "static", profile: "dev" },
  },
  {
    name: "AWS_PROFILE before keys in the environment",
    env: { ...KEYS, AWS_PROFILE: "dev" },
    files: FILES,
    want: { source: "static", profile: "dev" },
  },
  {
    name: "the setting before AWS_PROFILE",
    env: { AWS_PROFILE: "default" },
    files: FILES,
    profile: "dev",
    want: { source: "static", profile: "dev" },
  },
  {
    name: "keys in the environment before the default profile",
    env: { ...KEYS, ...WEB, ...ECS },
    files: FILES,
    want: { source: "environment" },
  },
  {
    name: "the default profile before web identity and container",
    env: { ...WEB, ...ECS },
    files: FILES,
    want: { source: "static", profile: "default" },
  },
  {
    name: "half a key pair is none",
    env: { AWS_ACCESS_KEY_ID: "a" },
    want: { source: "instance" },
  },
  {
    name: "web identity before container",
    env: { ...WEB, ...ECS },
    want: { source: "web-identity" },
  },
  { name: "the container", env: EKS, want: { source: "container" } },
  {
    name: "web identity after a profile that says nothing of credentials",
    env: { ...KEYS, ...WEB },
    files: FILES,
    profile: "bare",
    want: { source: "web-identity" },
  },
  { name: "instance metadata last", want: { source: "instance" } },
  {
    name: "nothing when instance metadata is disabled",
    env: { AWS_EC2_METADATA_DISABLED: "true" },
    want: { source: "none" },
  },
  {
    name: "instance metadata when it is disabled with false",
    env: { AWS_EC2_METADATA_DISABLED: "False" },
    want: { source: "instance" },
  },
  {
    name: "no other source for a profile that does not exist",
    env: { ...KEYS, ...WEB, ...ECS },
    files: FILES,
    profile: "nobody",
    want: { source: "profile", profile: "nobody" },
  },
  {
    name: "what there is when the default profile is asked for and does not exist",
    env: { ...WEB, AWS_PROFILE: "default" },
    want: { source: "web-identity" },
  },
];

for (const { name, env = {}, files, profile, want } of cases) {
  Deno.test(`selectSource() takes ${name}`, () => {
    assert.deepEqual(sourceFields(select(env, files, profile)), want);
  });
}

Deno.test("selectSource() prefers the relative address of the container, on the ECS host", () => {
  const source = select({ ...EKS, ...ECS });
  assert.equal(source.kind === "container" && source.url, "http://169.254.170.2/v2/x");
});

Deno.test("sourceFingerprint() changes with the settings in use and with no others", async () => {
  const of = (text: string, profile?: string) => {
    const files = mergeSharedFiles(parseIni(text), new Map());
    return sourceFingerprint(selectSource(profile, files, { env: {}, home: "/h" }), files);
  };
  const role = "[profile r]\nrole_arn=x\nsource_profile=dev\n";
  const dev = `[profile dev]\n${STATIC}`;
  assert.equal(await of(role + dev, "r"), await of(`${dev}[profile other]\nx=1\n${role}`, "r"));
  assert.notEqual(await of(role + dev, "r"), await of(role + dev.replace("=s", "=t"), "r"));
  assert.notEqual(await of(role + dev, "r"), await of(role + dev, "dev"));
  assert.notEqual(await of(role + dev, "r"), await of(role, "r"));
  assert.notEqual(await of("", undefined), await of(`[default]\n${STATIC}`, undefined));
  const sso = "[profile s]\nsso_session=o\nsso_account_id=1\nsso_role_name=r\n";
  const session = "[sso-session o]\nsso_start_url=u\nsso_region=r\n";
  assert.notEqual(await of(sso + session, "s"), await of(sso + session.replace("=u", "=v"), "s"));
  assert.match(await of(dev, "dev"), /^[0-9a-f]{64}$/);
});
