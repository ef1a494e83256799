/**
 * From what a service says to the project's error: which code of the table it is, and the message.
 *
 * @module
 */

import { AwsocksError, type ErrorCode } from "../core/mod.ts";
import type { AwsServiceError } from "./answer.ts";
import { isOptInRegion } from "./regions.ts";

/** The call that failed. */
export interface CallContext {
  /** IAM action, `ssm:StartSession`. */
  readonly action: string;
  /** What it was about, for the message: an instance id or name. */
  readonly subject?: string | undefined;
  readonly region: string;
}

/** Codes by service code, where the service code says it all. Sources: API references, common errors. */
const CODES: Readonly<Record<string, ErrorCode>> = {
  UnrecognizedClientException: "credentials-invalid",
  InvalidClientTokenId: "credentials-invalid",
  InvalidAccessKeyId: "credentials-invalid",
  SignatureDoesNotMatch: "credentials-invalid",
  InvalidSignatureException: "credentials-invalid",
  AuthFailure: "credentials-invalid",
  ExpiredToken: "credentials-expired",
  ExpiredTokenException: "credentials-expired",
  // EC2's word for both an old signature and an expired session token; the client rules out the first.
  RequestExpired: "credentials-expired",
  AccessDenied: "aws-access-denied",
  AccessDeniedException: "aws-access-denied",
  UnauthorizedOperation: "aws-access-denied",
  // EC2 Instance Connect.
  AuthException: "aws-access-denied",
  EC2InstanceNotFoundException: "instance-not-found",
  EC2InstanceStateInvalidException: "instance-stopped",
  NotAuthorized: "aws-access-denied",
  OptInRequired: "aws-region-invalid",
  TargetNotConnected: "agent-offline",
  Throttling: "aws-throttled",
  ThrottlingException: "aws-throttled",
  ThrottledException: "aws-throttled",
  RequestThrottled: "aws-throttled",
  RequestThrottledException: "aws-throttled",
  RequestLimitExceeded: "aws-throttled",
  TooManyRequestsException: "aws-throttled",
  EC2ThrottledException: "aws-throttled",
  BandwidthLimitExceeded: "aws-throttled",
};

/** Codes that say that the signature's time was refused. Whether it is our clock tells the Date header. */
const SKEW_CODES: ReadonlySet<string> = new Set([
  "RequestTimeTooSkewed",
  "RequestInTheFuture",
  "RequestExpired",
  "AuthFailure",
  "InvalidSignatureException",
  "SignatureDoesNotMatch",
]);

/** True for an answer that a wrong clock may have caused. */
export function mayBeSkew(error: AwsServiceError): boolean {
  return SKEW_CODES.has(error.code);
}

/** The code of the table for a service's error. */
export function codeFor(error: AwsServiceError): ErrorCode {
  // Given with any of the signature codes; only the words tell it from a wrong secret.
  if (/scoped to a valid region/i.test(error.message)) return "aws-region-invalid";
  const known = Object.hasOwn(CODES, error.code) ? CODES[error.code] : undefined;
  if (known) return known;
  // EC2: InvalidInstanceID.NotFound, InvalidInstanceID.Malformed; SSM: InvalidInstanceId.
  if (/^InvalidInstanceId/i.test(error.code)) return "instance-not-found";
  if (error.status === 429) return "aws-throttled";
  if (error.status >= 500) return "aws-unavailable";
  return "aws-request-failed";
}

/** The service's error as an {@linkcode AwsocksError} with `code`, `message`, `requestId` and `status` in its facts. */
export function serviceFailure(error: AwsServiceError, context: CallContext): AwsocksError {
  const code = codeFor(error);
  const hint = hintFor(code, error, context);
  return new AwsocksError(code, messageFor(code, error, context), {
    facts: { ...error, action: context.action, region: context.region },
    ...(hint !== undefined && { hint }),
  });
}

function messageFor(code: ErrorCode, error: AwsServiceError, context: CallContext): string {
  const { action, subject, region } = context;
  const call = subject ? `${action} on ${subject}` : action;
  const why = error.message || error.code;
  switch (code) {
    case "credentials-invalid":
      return `AWS does not accept the credentials for ${call} in ${region}: ${why}`;
    case "credentials-expired":
      return `The AWS credentials have expired, so ${call} failed: ${why}`;
    case "aws-access-denied":
      return `The AWS credentials do not allow ${call} in ${region}: ${why}`;
    case "aws-region-invalid":
      return error.code === "OptInRequired"
        ? `The account has not enabled the region ${region}: ${why}`
        : `The endpoint of ${action} does not serve the region ${region}: ${why}`;
    case "agent-offline":
      // The service says nothing more.
      return `The SSM agent on ${subject ?? "the instance"} in ${region} is not connected`;
    case "instance-not-found":
      return `There is no instance ${subject ?? "of that id"} in ${region}${
        /NotFound$/.test(error.code) ? "" : `: ${why}`
      }`;
    case "aws-throttled":
      return `AWS throttled ${call} in ${region}: ${why}`;
    default:
      return `${call} in ${region} failed with ${error.code}${
        error.message ? `: ${error.message}` : ""
      }`;
  }
}

function hintFor(
  code: ErrorCode,
  error: AwsServiceError,
  { action, region }: CallContext,
): string | undefined {
  if (code === "aws-access-denied") return `the caller's IAM policy needs ${action}`;
  if (code === "credentials-invalid" && isOptInRegion(region)) {
    // A region that is off answers exactly as if the keys did not exist.
    return `check the AWS profile in use, and that the account has enabled ${region}`;
  }
  if (error.code === "RequestTimeTooSkewed" || error.code === "RequestInTheFuture") {
    return "set the clock of this machine";
  }
  return undefined;
}
