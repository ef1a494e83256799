/**
 * The one place that says why credentials could not be loaded.
 *
 * The SDK reports most failures as a `CredentialsProviderError` with a sentence in it. Rather than
 * read that sentence, this goes by what is known: which source was used, what its settings are, and
 * how the latest HTTP exchange ended.
 *
 * @module
 */

import { AwsocksError, type AwsocksErrorOptions, toAwsocksError } from "../core/mod.ts";
import type { Exchange } from "./fetch_handler.ts";
import type { Login, ProfilePlan } from "./profile.ts";
import { type Source, sourceFields, sourceText } from "./source.ts";

/** Longest excerpt of foreign text in a message, in characters. */
const EXCERPT_LENGTH = 300;

/** A failure to load, as an error with one of the codes `credentials-…` or `aws-…`. */
export function explainFailure(error: unknown, source: Source, last?: Exchange): AwsocksError {
  if (error instanceof AwsocksError) return error;
  if (error instanceof DOMException) return toAwsocksError(error);
  const facts = sourceFields(source);
  const what = `Loading credentials of ${sourceText(source)} failed`;
  if (last?.error !== undefined) {
    return new AwsocksError("aws-unreachable", `${what}: no answer of ${last.host}`, {
      cause: last.error,
      facts,
    });
  }
  if (last?.status === 429) {
    return new AwsocksError("aws-throttled", `${what}: too many requests to ${last.host}`, {
      facts,
    });
  }
  if (last?.status !== undefined && last.status >= 500) {
    const text = `${what}: ${last.host} answered with status ${last.status}`;
    return new AwsocksError("aws-unavailable", text, { facts });
  }
  // STS and nothing else lets the service's answer through as it is.
  if (isServiceError(error)) return refusedByService(error, source, what);

  switch (source.kind) {
    case "profile":
      return profileFailure(error, source.plan, what, last);
    case "instance":
      return nothingFound(source, error);
    default:
      return new AwsocksError("credentials-invalid", `${what}: ${excerpt(messageOf(error))}`, {
        facts,
        hint: source.kind === "container"
          ? "the container's credentials endpoint is given by AWS_CONTAINER_CREDENTIALS_…"
          : "the token file is given by AWS_WEB_IDENTITY_TOKEN_FILE",
      });
  }
}

/**
 * The failure that the settings show without any attempt; undefined when there is none.
 * @param known names of the profiles in the shared files
 */
export async function findFault(
  source: Source,
  known: readonly string[],
): Promise<AwsocksError | undefined> {
  if (source.kind === "none") return nothingFound(source);
  if (source.kind === "unknown-profile") {
    const { profile } = source;
    return await unknownProfile(`There is no AWS profile ${profile}`, profile, source, known);
  }
  const problem = source.kind === "profile" ? source.plan.problem : undefined;
  if (!problem) return undefined;
  const text = `AWS profile ${problem.profile} ${problem.text}`;
  if (problem.missing !== undefined) {
    return await unknownProfile(text, problem.missing, source, known);
  }
  return new AwsocksError("credentials-invalid", text, {
    facts: sourceFields(source),
    hint: "mend the profile in the AWS config file",
  });
}

/** The source gave credentials that expired at `expiration`, in milliseconds since the epoch. */
export function alreadyExpired(source: Source, expiration: number): AwsocksError {
  const time = new Date(expiration).toISOString();
  const text = `The credentials of ${sourceText(source)} expired at ${time}`;
  const login = source.kind === "profile" ? source.plan.login : undefined;
  return new AwsocksError("credentials-expired", text, {
    facts: sourceFields(source),
    ...(login && { hint: `run \`${login.command}\`` }),
  });
}

async function unknownProfile(
  text: string,
  name: string,
  source: Source,
  known: readonly string[],
): Promise<AwsocksError> {
  const near = await nearest(name, known);
  return new AwsocksError("credentials-missing", near ? `${text}; did you mean ${near}?` : text, {
    facts: { ...sourceFields(source), ...(near && { nearest: near }) },
    hint: known.length > 0
      ? `AWS profiles on this machine: ${known.join(", ")}`
      : "there is no AWS profile on this machine; run `aws configure`",
  });
}

/** The known name that differs in at most a third of its letters. */
async function nearest(name: string, known: readonly string[]): Promise<string | undefined> {
  if (known.length === 0) return undefined;
  const { closest, distance } = await import("fastest-levenshtein");
  const near = closest(name, known);
  const limit = Math.max(2, Math.floor(near.length / 3));
  return distance(name, near) <= limit ? near : undefined;
}

function nothingFound(source: Source & { profile?: string | undefined }, error?: unknown) {
  const profile = source.profile;
  const where = profile === undefined
    ? "neither the environment nor the default AWS profile"
    : `neither AWS profile ${profile} nor the environment`;
  const metadata = source.kind === "none"
    ? "instance metadata is disabled (AWS_EC2_METADATA_DISABLED)"
    : metadataText(statusOf(error));
  return new AwsocksError(
    "credentials-missing",
    `No AWS credentials found: ${where} holds any, and ${metadata}`,
    { facts: { source: source.kind, ...(profile !== undefined && { profile }) }, cause: error },
  );
}

function metadataText(status: number | undefined): string {
  if (status === undefined) return "there is no instance metadata service here";
  if (status === 404) return "this instance has no IAM role";
  return `the instance metadata service answered with status ${status}`;
}

function profileFailure(
  error: unknown,
  plan: ProfilePlan,
  what: string,
  last: Exchange | undefined,
): AwsocksError {
  const end = plan.links.at(-1);
  const facts = { source: end?.kind, profile: plan.name };
  if (plan.login && end) {
    if (last?.status === undefined || isLoginRefusal(last)) return loginExpired(plan, plan.login);
    const account = end.settings.get("sso_account_id");
    const role = end.settings.get("sso_role_name");
    const text = `${what}: IAM Identity Center refuses role ${role} in account ${account}`;
    return new AwsocksError("credentials-invalid", text, {
      facts: { ...facts, status: last.status },
      hint: "check sso_account_id and sso_role_name, and that the role is assigned to you",
    });
  }
  if (end?.kind === "process") {
    return new AwsocksError("credentials-invalid", `${what}: ${processReason(error)}`, {
      facts,
      hint: "run the credential_process of the profile by hand to see what it needs",
    });
  }
  return new AwsocksError("credentials-invalid", `${what}: ${excerpt(messageOf(error))}`, {
    facts,
    hint: "check the profile in the AWS config file",
  });
}

/** 401 from the portal, or any refusal of the endpoint that refreshes tokens. */
function isLoginRefusal({ status, path }: Exchange): boolean {
  return status === 401 || path.endsWith("/token");
}

function loginExpired(plan: ProfilePlan, login: Login): AwsocksError {
  const text = `The login of AWS profile ${plan.name} has expired or was never made`;
  return new AwsocksError("credentials-expired", text, {
    facts: { profile: plan.name },
    hint: `run \`${login.command}\`; awsocks goes on by itself after that`,
  });
}

/** Error names of STS by what they mean. */
const EXPIRED = new Set(["ExpiredToken", "ExpiredTokenException"]);
const KEYS_REFUSED = new Set([
  "AuthFailure",
  "IncompleteSignature",
  "InvalidAccessKeyId",
  "InvalidClientTokenId",
  "InvalidSignatureException",
  "SignatureDoesNotMatch",
  "UnrecognizedClientException",
]);

function refusedByService(error: Error, source: Source, what: string): AwsocksError {
  const options: AwsocksErrorOptions = {
    facts: { ...sourceFields(source), error: error.name, status: statusOf(error) },
  };
  if (KEYS_REFUSED.has(error.name)) {
    // Without the service's message, which can repeat the whole request with its token.
    const text = `${what}: AWS does not accept the keys (${error.name})`;
    return new AwsocksError("credentials-invalid", text, options);
  }
  const text = `${what}: ${excerpt(error.message)} (${error.name})`;
  if (EXPIRED.has(error.name)) return new AwsocksError("credentials-expired", text, options);
  return new AwsocksError("credentials-invalid", text, {
    ...options,
    hint: "check the role, its trust policy, and the MFA code if it asks for one",
  });
}

/** Errors that the SDK made from an answer of a service. */
function isServiceError(error: unknown): error is Error {
  return error instanceof Error && "$metadata" in error;
}

function statusOf(error: unknown): number | undefined {
  if (!(error instanceof Error)) return undefined;
  const { statusCode, $metadata } = error as {
    statusCode?: number;
    $metadata?: { httpStatusCode?: number };
  };
  return statusCode ?? $metadata?.httpStatusCode;
}

/**
 * What a `credential_process` wrote to its standard error. Node puts the command line first, which
 * may hold secrets.
 */
function processReason(error: unknown): string {
  const message = messageOf(error);
  if (!message.startsWith("Command failed: ")) return excerpt(message);
  const output = excerpt(message.split("\n").slice(1).join(" "));
  return output ? `its credential_process ended with: ${output}` : "its credential_process failed";
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Foreign text as part of a message: one line, not too long, no full stop. */
function excerpt(text: string): string {
  const line = text.replaceAll(/\s+/g, " ").trim();
  const short = line.length > EXCERPT_LENGTH ? `${line.slice(0, EXCERPT_LENGTH)}…` : line;
  return short.replace(/\.$/, "");
}
