import assert from "node:assert/strict";
import fc from "fast-check";
import { parseServiceError, webPageTitle } from "../../lib/aws/answer.ts";
import { codeFor, serviceFailure } from "../../lib/aws/errors.ts";
import { type ErrorCode, OUTCOMES } from "../../lib/core/mod.ts";

const answer = (status: number, body: string, headers: Record<string, string> = {}) => ({
  status,
  body,
  headers: new Headers(headers),
});

const EC2_DENIED = `<?xml version="1.0" encoding="UTF-8"?>
<Response><Errors><Error><Code>UnauthorizedOperation</Code><Message>You are not authorized to perform this operation. User: arn:aws:iam::111122223333:user/jane is not authorized to perform: ec2:DescribeInstances because no identity-based policy allows the ec2:DescribeInstances action. Encoded authorization failure message: q1w2E3r4T5</Message></Error></Errors><RequestID>4c9e2f10-8b7a-4d56-9e21-0f3b5a6c7d88</RequestID></Response>`;

const STS_INVALID = `<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
  <Error>
    <Type>Sender</Type>
    <Code>InvalidClientTokenId</Code>
    <Message>The security token included in the request is invalid.</Message>
  </Error>
  <RequestId>7d0b8f6e-1a2c-4f3e-8d9a-b1c2d3e4f5a6</RequestId>
</ErrorResponse>`;

Deno.test("parseServiceError() reads JSON 1.1 with and without namespace, in either case", async () => {
  const id = { "x-amzn-requestid": "a1b2" };
  for (
    const body of [
      '{"__type":"com.amazonaws.ssm#TargetNotConnected","message":"i-1 is not connected."}',
      '{"__type":"TargetNotConnected","Message":"i-1 is not connected."}',
      '{"code":"TargetNotConnected","message":"i-1 is not connected."}',
    ]
  ) {
    assert.deepEqual(await parseServiceError(answer(400, body, id)), {
      code: "TargetNotConnected",
      message: "i-1 is not connected",
      status: 400,
      requestId: "a1b2",
    });
  }
});

Deno.test("parseServiceError() takes the code from the header if the body has none", async () => {
  const headers = { "x-amzn-errortype": "InternalServerError:http://internal.amazon.com/doc/" };
  assert.deepEqual(await parseServiceError(answer(500, '{"message":null}', headers)), {
    code: "InternalServerError",
    message: "",
    status: 500,
  });
});

Deno.test("parseServiceError() reads the XML of EC2 and STS", async () => {
  assert.deepEqual(await parseServiceError(answer(403, EC2_DENIED)), {
    code: "UnauthorizedOperation",
    message: "You are not authorized to perform this operation. User: " +
      "arn:aws:iam::111122223333:user/jane is not authorized to perform: ec2:DescribeInstances " +
      "because no identity-based policy allows the ec2:DescribeInstances action",
    status: 403,
    requestId: "4c9e2f10-8b7a-4d56-9e21-0f3b5a6c7d88",
  });
  assert.deepEqual(await parseServiceError(answer(403, STS_INVALID)), {
    code: "InvalidClientTokenId",
    message: "The security token included in the request is invalid",
    status: 403,
    requestId: "7d0b8f6e-1a2c-4f3e-8d9a-b1c2d3e4f5a6",
  });
});

Deno.test("parseServiceError() drops what may quote a secret", async () => {
  const canonical = JSON.stringify({
    __type: "InvalidSignatureException",
    message: "The request signature we calculated does not match the signature you provided.\n\n" +
      "The Canonical String for this request should have been\n'POST\nx-amz-security-token:SECRET'",
  });
  const incomplete = JSON.stringify({
    __type: "IncompleteSignatureException",
    message: "Authorization header requires 'Signature' parameter. Authorization=AWS4 SECRET",
  });
  for (const body of [canonical, incomplete]) {
    const { message } = await parseServiceError(answer(403, body));
    assert.doesNotMatch(message, /SECRET/);
    assert.doesNotMatch(message, /[\n.]$/);
  }
});

Deno.test("parseServiceError() makes something of every answer", async () => {
  const soup = fc.array(
    fc.constantFrom(
      "<Response>",
      "<Errors>",
      "<Error>",
      "<Code>",
      "</",
      ">",
      "x",
      "&#x;",
      "{",
      '"',
    ),
  ).map((parts) => parts.join(""));
  const truncated = fc.constantFrom(EC2_DENIED, STS_INVALID, '{"__type":"a#B","message":"c"}')
    .chain((text) => fc.nat(text.length).map((length) => text.slice(0, length)));
  await fc.assert(
    fc.asyncProperty(fc.oneof(fc.string(), fc.json(), soup, truncated), async (body) => {
      const error = await parseServiceError(answer(418, body));
      assert.equal(error.status, 418);
      assert(error.code.length > 0);
      assert(error.message.length <= 500);
      assert.equal(
        serviceFailure(error, { action: "ssm:X", region: "eu-west-1" }).facts.status,
        418,
      );
    }),
    { numRuns: 500 },
  );
});

Deno.test.each([
  ["UnrecognizedClientException", 400, "credentials-invalid"],
  ["InvalidClientTokenId", 403, "credentials-invalid"],
  ["SignatureDoesNotMatch", 403, "credentials-invalid"],
  ["InvalidSignatureException", 400, "credentials-invalid"],
  ["AuthFailure", 401, "credentials-invalid"],
  ["ExpiredToken", 403, "credentials-expired"],
  ["ExpiredTokenException", 400, "credentials-expired"],
  ["RequestExpired", 400, "credentials-expired"],
  ["AccessDenied", 403, "aws-access-denied"],
  ["AccessDeniedException", 400, "aws-access-denied"],
  ["UnauthorizedOperation", 403, "aws-access-denied"],
  ["OptInRequired", 403, "aws-region-invalid"],
  ["TargetNotConnected", 400, "agent-offline"],
  ["InvalidInstanceID.NotFound", 400, "instance-not-found"],
  ["InvalidInstanceID.Malformed", 400, "instance-not-found"],
  ["InvalidInstanceId", 400, "instance-not-found"],
  ["ThrottlingException", 400, "aws-throttled"],
  ["RequestLimitExceeded", 503, "aws-throttled"],
  ["Whatever", 429, "aws-throttled"],
  ["InternalServerError", 500, "aws-unavailable"],
  ["InvalidDocument", 400, "aws-request-failed"],
  ["constructor", 400, "aws-request-failed"],
] as [string, number, ErrorCode][])("codeFor(%s, status %d) is %s", (code, status, expected) => {
  assert.equal(codeFor({ code, status, message: "" }), expected);
});

Deno.test("serviceFailure() says what was tried, on what, where and why", () => {
  const context = { action: "ssm:StartSession", subject: "i-0abc", region: "eu-west-1" };
  const messages = [
    ["TargetNotConnected", "i-0abc is not connected"],
    ["AccessDeniedException", "User: jane is not authorized"],
    ["UnrecognizedClientException", "The security token included in the request is invalid"],
    ["ExpiredTokenException", "The security token included in the request is expired"],
    ["InvalidSignatureException", "Credential should be scoped to a valid region"],
    ["InvalidInstanceID.NotFound", "The instance ID 'i-0abc' does not exist"],
    ["ThrottlingException", "Rate exceeded"],
    ["InvalidDocument", "Document with name x does not exist"],
    ["InvalidDocument", ""],
  ].map(([code, message]) =>
    serviceFailure({ code: code!, message: message!, status: 400 }, context).message
  );
  assert.deepEqual(messages, [
    "The SSM agent on i-0abc in eu-west-1 is not connected",
    "The AWS credentials do not allow ssm:StartSession on i-0abc in eu-west-1: User: jane is not authorized",
    "AWS does not accept the credentials for ssm:StartSession on i-0abc in eu-west-1: The security token included in the request is invalid",
    "The AWS credentials have expired, so ssm:StartSession on i-0abc failed: The security token included in the request is expired",
    "The endpoint of ssm:StartSession does not serve the region eu-west-1: Credential should be scoped to a valid region",
    "There is no instance i-0abc in eu-west-1",
    "AWS throttled ssm:StartSession on i-0abc in eu-west-1: Rate exceeded",
    "ssm:StartSession on i-0abc in eu-west-1 failed with InvalidDocument: Document with name x does not exist",
    "ssm:StartSession on i-0abc in eu-west-1 failed with InvalidDocument",
  ]);
});

Deno.test("serviceFailure() knows that a region that is off looks like wrong keys", () => {
  const error = { code: "UnrecognizedClientException", message: "", status: 400 };
  const hint = (region: string) =>
    serviceFailure(error, { action: "ssm:StartSession", region }).hint;
  assert.match(hint("eu-south-2"), /enabled eu-south-2/);
  assert.equal(hint("eu-west-1"), OUTCOMES["credentials-invalid"].hint);
});

Deno.test("webPageTitle() tells a web page from a service's answer", () => {
  const page = "\n<!DOCTYPE html>\n<html><head><title>\n Log  in </title></head></html>";
  assert.equal(webPageTitle(answer(200, page)), "Log in");
  assert.equal(webPageTitle(answer(200, "<HTML></HTML>")), "");
  assert.equal(webPageTitle(answer(403, EC2_DENIED)), undefined);
  assert.equal(webPageTitle(answer(200, "{}")), undefined);
});
