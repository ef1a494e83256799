/**
 * Signed calls of the sandbox's API, made with `aws4fetch`: another signer than the one that judges.
 *
 * @module
 */

import { AwsV4Signer } from "aws4fetch";
import type { Credentials } from "../../lib/core/mod.ts";
import type { Sandbox } from "../../lib/sandbox/mod.ts";

/** What may differ from a correct call. */
export interface CallOverrides {
  readonly credentials?: Credentials;
  readonly region?: string;
  readonly service?: string;
  /** Milliseconds since the Unix epoch. */
  readonly now?: number;
  /** Sent instead of what was signed. */
  readonly body?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** An answer. */
export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
}

type Target = Pick<Sandbox, "endpoint" | "region" | "credentials">;

async function send(
  sandbox: Target,
  service: string,
  request: { readonly body: string; readonly headers: Record<string, string> },
  overrides: CallOverrides,
): Promise<Answer> {
  const { accessKeyId, secretAccessKey, sessionToken } = overrides.credentials ??
    sandbox.credentials;
  const now = new Date(overrides.now ?? Date.now()).toISOString();
  const signed = await new AwsV4Signer({
    method: "POST",
    url: `${sandbox.endpoint}/`,
    headers: { ...request.headers, ...overrides.headers },
    body: request.body,
    accessKeyId,
    secretAccessKey,
    ...(sessionToken ? { sessionToken } : {}),
    service: overrides.service ?? service,
    region: overrides.region ?? sandbox.region,
    datetime: now.replaceAll(/[:-]|\.\d+/g, ""),
  }).sign();
  const response = await fetch(signed.url, {
    method: "POST",
    headers: signed.headers,
    body: overrides.body ?? request.body,
  });
  return { status: response.status, headers: response.headers, text: await response.text() };
}

/** A call of SSM. */
export function callSsm(
  sandbox: Target,
  action: string,
  input: unknown,
  overrides: CallOverrides = {},
): Promise<Answer> {
  return sendJson(sandbox, "ssm", `AmazonSSM.${action}`, input, overrides);
}

/** A call of EC2 Instance Connect. */
export function callInstanceConnect(
  sandbox: Target,
  action: string,
  input: unknown,
  overrides: CallOverrides = {},
): Promise<Answer> {
  const target = `AWSEC2InstanceConnectService.${action}`;
  return sendJson(sandbox, "ec2-instance-connect", target, input, overrides);
}

function sendJson(
  sandbox: Target,
  service: string,
  target: string,
  input: unknown,
  overrides: CallOverrides,
): Promise<Answer> {
  return send(sandbox, service, {
    body: JSON.stringify(input),
    headers: { "content-type": "application/x-amz-json-1.1", "x-amz-target": target },
  }, overrides);
}

/** A call of a Query service. */
export function callQuery(
  sandbox: Target,
  service: "ec2" | "sts",
  parameters: Readonly<Record<string, string>>,
  overrides: CallOverrides = {},
): Promise<Answer> {
  const version = service === "ec2" ? "2016-11-15" : "2011-06-15";
  return send(sandbox, service, {
    body: new URLSearchParams({ Version: version, ...parameters }).toString(),
    headers: { "content-type": "application/x-www-form-urlencoded; charset=utf-8" },
  }, overrides);
}

/** The JSON of an answer. */
export function json(answer: Answer): Record<string, unknown> {
  return JSON.parse(answer.text);
}

/** Contents of every element of a name in an XML answer, in order. */
export function xmlValues(answer: Answer, name: string): readonly string[] {
  const pattern = new RegExp(`<${name}>([^<]*)</${name}>`, "g");
  return [...answer.text.matchAll(pattern)].map((match) => match[1]!);
}
