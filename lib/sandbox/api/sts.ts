/**
 * The sandbox's STS: who am I, and two roles to assume, one of them with MFA.
 *
 * @module
 */

import type { Clock } from "../../core/mod.ts";
import { ACCOUNT_ID, type Identities, type Identity } from "../identities.ts";
import { ApiFault } from "./fault.ts";
import type { QueryParameters } from "./query.ts";
import type { Xml } from "./xml.ts";

/** A role that may be assumed. */
export const ROLE_ARN = `arn:aws:iam::${ACCOUNT_ID}:role/sandbox`;
/** A role that wants a code of {@linkcode MFA_SERIAL}. */
export const MFA_ROLE_ARN = `arn:aws:iam::${ACCOUNT_ID}:role/sandbox-mfa`;
/** The user's MFA device. */
export const MFA_SERIAL = `arn:aws:iam::${ACCOUNT_ID}:mfa/sandbox`;

const DEFAULT_SECONDS = 3600;
const MIN_SECONDS = 900;
const MAX_SECONDS = 43_200;

/** What the calls work on. */
export interface StsContext {
  readonly clock: Clock;
  readonly identities: Identities;
  readonly mfaCode: string;
}

type Operation = (
  context: StsContext,
  parameters: QueryParameters,
  caller: Identity,
) => Record<string, Xml>;

/** The calls by the parameter `Action`. */
export const STS_OPERATIONS: Readonly<Record<string, Operation>> = {
  GetCallerIdentity(_context, _parameters, caller) {
    return { Arn: caller.arn, UserId: caller.userId, Account: ACCOUNT_ID };
  },

  AssumeRole({ clock, identities, mfaCode }, parameters, caller) {
    const role = required(parameters, "RoleArn");
    const name = required(parameters, "RoleSessionName");
    if (!/^[\w+=,.@-]{2,64}$/.test(name)) {
      throw new ApiFault(
        "ValidationError",
        `1 validation error detected: Value '${name}' at 'roleSessionName' failed to satisfy ` +
          "constraint: Member must satisfy regular expression pattern: [\\w+=,.@-]*",
      );
    }
    const code = parameters.get("TokenCode");
    const denied = role !== ROLE_ARN && (role !== MFA_ROLE_ARN || code === undefined);
    if (denied) {
      throw new ApiFault(
        "AccessDenied",
        `User: ${caller.arn} is not authorized to perform: sts:AssumeRole on resource: ${role}`,
        403,
      );
    }
    if (code !== undefined) checkMfa(parameters.get("SerialNumber") ?? "", code, mfaCode);
    const identity = identities.assume(role.split("/")[1]!, name, seconds(parameters) * 1000);
    const { accessKeyId, secretAccessKey, sessionToken, expiration } = identity.credentials;
    return {
      AssumedRoleUser: { AssumedRoleId: identity.userId, Arn: identity.arn },
      Credentials: {
        AccessKeyId: accessKeyId,
        SecretAccessKey: secretAccessKey,
        SessionToken: sessionToken ?? "",
        Expiration: new Date(expiration ?? clock.now()).toISOString(),
      },
    };
  },
};

function checkMfa(serial: string, code: string, expected: string): void {
  if (serial !== MFA_SERIAL) {
    throw new ApiFault(
      "AccessDenied",
      "MultiFactorAuthentication failed, unable to validate MFA code.  " +
        "Please verify your MFA serial number is valid and associated with this user.",
      403,
    );
  }
  if (code !== expected) {
    throw new ApiFault(
      "AccessDenied",
      "MultiFactorAuthentication failed with invalid MFA one time pass code. ",
      403,
    );
  }
}

function seconds(parameters: QueryParameters): number {
  const value = Number(parameters.get("DurationSeconds") ?? DEFAULT_SECONDS);
  if (Number.isInteger(value) && value >= MIN_SECONDS && value <= MAX_SECONDS) return value;
  throw new ApiFault(
    "ValidationError",
    "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
  );
}

function required(parameters: QueryParameters, name: string): string {
  const value = parameters.get(name);
  if (value) return value;
  throw new ApiFault("ValidationError", `The request must contain the parameter ${name}`);
}
