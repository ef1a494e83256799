/**
 * Failures of the API in the shapes that each AWS service gives them.
 *
 * @module
 */

import type { SignatureFault, SignatureProblem } from "./signature.ts";
import { element, type Xml } from "./xml.ts";

/** Services of the sandbox's API. */
export type ServiceName = "ssm" | "ec2" | "sts" | "ec2-instance-connect";

/** Services that speak JSON 1.1. */
function speaksJson(service: ServiceName): boolean {
  return service === "ssm" || service === "ec2-instance-connect";
}

/** A failed call. The message is AWS's. */
export class ApiFault extends Error {
  override readonly name = "ApiFault";

  constructor(readonly code: string, message: string, readonly status: number = 400) {
    super(message);
  }
}

type Row = readonly [code: string, status: number, message?: string];

const EC2_AUTH: Row = [
  "AuthFailure",
  401,
  "AWS was not able to validate the provided access credentials",
];
const EC2_EXPIRED: Row = ["RequestExpired", 400, "Request has expired."];

const JSON_SIGNATURE_FAULTS: Readonly<Record<SignatureProblem, Row>> = {
  missing: ["MissingAuthenticationTokenException", 400],
  incomplete: ["IncompleteSignatureException", 400],
  "unknown-key": ["UnrecognizedClientException", 400],
  "token-invalid": ["UnrecognizedClientException", 400],
  "wrong-region": ["InvalidSignatureException", 400],
  "wrong-service": ["InvalidSignatureException", 400],
  expired: ["InvalidSignatureException", 400],
  "not-yet-current": ["InvalidSignatureException", 400],
  mismatch: ["InvalidSignatureException", 400],
  "token-expired": ["ExpiredTokenException", 400],
};

/** What each service calls a bad signature; a missing message means: the verifier's own. */
const SIGNATURE_FAULTS: Readonly<Record<ServiceName, Readonly<Record<SignatureProblem, Row>>>> = {
  ssm: JSON_SIGNATURE_FAULTS,
  "ec2-instance-connect": JSON_SIGNATURE_FAULTS,
  ec2: {
    missing: ["MissingParameter", 400, "The request must contain the parameter AWSAccessKeyId"],
    incomplete: EC2_AUTH,
    "unknown-key": EC2_AUTH,
    "token-invalid": EC2_AUTH,
    "wrong-region": EC2_AUTH,
    "wrong-service": EC2_AUTH,
    expired: EC2_EXPIRED,
    "not-yet-current": EC2_AUTH,
    mismatch: EC2_AUTH,
    "token-expired": EC2_EXPIRED,
  },
  sts: {
    missing: ["MissingAuthenticationToken", 403, "Request is missing Authentication Token"],
    incomplete: ["IncompleteSignature", 400],
    "unknown-key": ["InvalidClientTokenId", 403],
    "token-invalid": ["InvalidClientTokenId", 403],
    "wrong-region": ["SignatureDoesNotMatch", 403],
    "wrong-service": ["SignatureDoesNotMatch", 403],
    expired: ["SignatureDoesNotMatch", 403],
    "not-yet-current": ["SignatureDoesNotMatch", 403],
    mismatch: ["SignatureDoesNotMatch", 403],
    "token-expired": ["ExpiredToken", 403],
  },
};

/** A bad signature as the service reports it. */
export function signatureFault(service: ServiceName, fault: SignatureFault): ApiFault {
  const [code, status, message] = SIGNATURE_FAULTS[service][fault.problem];
  return new ApiFault(code, message ?? fault.message, status);
}

/** The caller's policy does not allow the action. */
export function accessDenied(service: ServiceName, arn: string, action: string): ApiFault {
  const who = `User: ${arn} is not authorized to perform: ${action} on resource: *`;
  const why = `because no identity-based policy allows the ${action} action`;
  if (speaksJson(service)) return new ApiFault("AccessDeniedException", `${who} ${why}`);
  if (service === "sts") return new ApiFault("AccessDenied", `${who} ${why}`, 403);
  const text = `You are not authorized to perform this operation. ${who} ${why}`;
  return new ApiFault("UnauthorizedOperation", text, 403);
}

/** Too many calls. */
export function throttled(service: ServiceName): ApiFault {
  if (service === "ec2") {
    return new ApiFault("RequestLimitExceeded", "Request limit exceeded.", 503);
  }
  if (service === "sts") return new ApiFault("Throttling", "Rate exceeded");
  return new ApiFault("ThrottlingException", "Rate exceeded");
}

/** A failure as the service answers it. */
export function faultResponse(service: ServiceName, fault: ApiFault, requestId: string): Response {
  if (speaksJson(service)) {
    return Response.json({ __type: fault.code, message: fault.message }, {
      status: fault.status,
      headers: { "content-type": "application/x-amz-json-1.1", "x-amzn-requestid": requestId },
    });
  }
  const error: Xml = { Code: fault.code, Message: fault.message };
  const body = service === "ec2"
    ? element("Response", { Errors: { Error: error }, RequestID: requestId })
    : element("ErrorResponse", {
      Error: { Type: "Sender", ...error },
      RequestId: requestId,
    }, STS_NAMESPACE);
  return new Response(body, {
    status: fault.status,
    headers: { "content-type": "text/xml;charset=UTF-8", "x-amzn-requestid": requestId },
  });
}

/** XML namespace of STS. */
export const STS_NAMESPACE = "https://sts.amazonaws.com/doc/2011-06-15/";
