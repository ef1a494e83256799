/**
 * Which link of the AWS default credential chain applies. Pure: it looks at settings, never at the
 * network.
 *
 * The order is that of the SDK's `fromNodeProviderChain`: a profile asked for by name, keys in the
 * environment, the default profile, web identity, container, instance metadata. The SDK's chain
 * *tries* them one after another, and so a `credential_process` that fails, or a misspelt profile,
 * ends as the role of the instance or as "Could not load credentials from any providers" after a wait
 * for a metadata service. Here the first link that is *configured* is the one, and its failure is the
 * failure that is reported.
 *
 * @module
 */

import {
  awsPaths,
  type Environment,
  namedProfile,
  type Surroundings,
  whereabouts,
} from "./environment.ts";
import { digest } from "./digest.ts";
import { planProfile, type ProfilePlan } from "./profile.ts";
import { DEFAULT_PROFILE, type SharedFiles } from "./shared_files.ts";

/** A link of the chain. */
export type Source =
  /** A profile of the shared files. */
  | { readonly kind: "profile"; readonly plan: ProfilePlan }
  /** A profile that was asked for and does not exist. */
  | { readonly kind: "unknown-profile"; readonly profile: string }
  /** `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`. */
  | { readonly kind: "environment" }
  /** `AWS_WEB_IDENTITY_TOKEN_FILE` and `AWS_ROLE_ARN`. */
  | { readonly kind: "web-identity"; readonly tokenFile: string; readonly roleArn: string }
  /** Endpoint of ECS, EKS Pod Identity or Greengrass. */
  | { readonly kind: "container"; readonly url: string }
  /** EC2 instance metadata: the last resort, asked without knowing whether it is there. */
  | { readonly kind: "instance"; readonly profile: string | undefined }
  /** Nothing is configured and instance metadata is disabled. */
  | { readonly kind: "none"; readonly profile: string | undefined };

/** Address of the ECS agent, to which `AWS_CONTAINER_CREDENTIALS_RELATIVE_URI` is relative. */
const ECS_HOST = "http://169.254.170.2";

/** The link of the chain that the settings select. */
export function selectSource(
  profile: string | undefined,
  files: SharedFiles,
  surroundings: Surroundings,
): Source {
  const where = whereabouts(surroundings);
  const { env } = where;
  const named = namedProfile(profile, env);
  if (named === undefined && hasKeys(env)) return { kind: "environment" };
  // `AWS_PROFILE=default` without any file is usual in containers: not worth a refusal.
  if (named !== undefined && named !== DEFAULT_PROFILE && !files.profiles.has(named)) {
    return { kind: "unknown-profile", profile: named };
  }
  const plan = planProfile(named ?? DEFAULT_PROFILE, files, awsPaths(where));
  if (plan) return { kind: "profile", plan };
  const tokenFile = env.AWS_WEB_IDENTITY_TOKEN_FILE;
  const roleArn = env.AWS_ROLE_ARN;
  if (tokenFile && roleArn) return { kind: "web-identity", tokenFile, roleArn };
  const relative = env.AWS_CONTAINER_CREDENTIALS_RELATIVE_URI;
  const url = relative ? ECS_HOST + relative : env.AWS_CONTAINER_CREDENTIALS_FULL_URI;
  if (url) return { kind: "container", url };
  const disabled = env.AWS_EC2_METADATA_DISABLED;
  const kind = disabled && disabled.toLowerCase() !== "false" ? "none" : "instance";
  return { kind, profile: named };
}

/** True when the environment holds keys, whether they are used or not. */
export function hasKeys(env: Environment): boolean {
  return Boolean(env.AWS_ACCESS_KEY_ID && env.AWS_SECRET_ACCESS_KEY);
}

/** The source in words, for messages: "AWS profile dev". */
export function sourceText(source: Source): string {
  switch (source.kind) {
    case "profile":
      return `AWS profile ${source.plan.name}`;
    case "unknown-profile":
      return `AWS profile ${source.profile}`;
    case "environment":
      return "the environment variables AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY";
    case "web-identity":
      return `role ${source.roleArn} with the web identity token ${source.tokenFile}`;
    case "container":
      return `the container endpoint ${source.url}`;
    case "instance":
      return "the instance metadata service";
    case "none":
      return "nothing";
  }
}

/** The source as fields of a log line. */
export function sourceFields(source: Source): { source: string; profile?: string } {
  if (source.kind === "profile") {
    return { source: source.plan.links[0]?.kind ?? "profile", profile: source.plan.name };
  }
  if (source.kind === "unknown-profile") return { source: "profile", profile: source.profile };
  return { source: source.kind };
}

/**
 * A digest of the settings that select and configure the source. It changes when, and only when, a
 * change of the shared files matters to the credentials in use.
 */
export function sourceFingerprint(source: Source, files: SharedFiles): Promise<string> {
  const links = source.kind === "profile" ? source.plan.links : [];
  const sections = links.flatMap(({ name, settings }) => {
    const session = settings.get("sso_session");
    return [
      [name, ...settings],
      session === undefined ? [] : [session, ...(files.ssoSessions.get(session) ?? [])],
    ];
  });
  const problem = source.kind === "profile" ? source.plan.problem?.text : undefined;
  return digest("SHA-256", JSON.stringify([sourceFields(source), problem, sections]));
}
