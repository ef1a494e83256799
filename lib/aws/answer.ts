/**
 * AWS's error answers as facts: JSON 1.1 (`ssm`), Query/XML (`ec2`, `sts`), and the web pages that
 * captive portals and proxies put in their place.
 *
 * @module
 */

import { describeError } from "../core/mod.ts";
import { nodeAt, parseXml, textAt } from "./xml.ts";

/** What a service says about a failure. */
export interface AwsServiceError {
  /** Error code without namespace: `TargetNotConnected`. */
  readonly code: string;
  /** The service's words, on one line, without secrets and without the full stop. */
  readonly message: string;
  /** For AWS support. */
  readonly requestId?: string;
  /** HTTP status. */
  readonly status: number;
}

/** An HTTP answer read to its end. */
export interface HttpAnswer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: string;
}

/** AWS's id of the request, from whichever header the service uses. */
export function requestIdOf(headers: Headers): string | undefined {
  return headers.get("x-amzn-requestid") ?? headers.get("x-amz-request-id") ?? undefined;
}

/** The title of a web page that stands where a service's answer should be; empty without title. */
export function webPageTitle(answer: HttpAnswer): string | undefined {
  if (!/^\s*(<!doctype html|<html)/i.test(answer.body)) return undefined;
  const title = /<title[^>]*>([^<]*)/i.exec(answer.body.slice(0, 16_384))?.[1] ?? "";
  return title.replaceAll(/\s+/g, " ").trim().slice(0, 100);
}

/** Reads an error answer of either protocol; never throws. */
export async function parseServiceError(answer: HttpAnswer): Promise<AwsServiceError> {
  const { status, headers, body } = answer;
  const fromBody = body.trimStart().startsWith("<") ? await parseXmlError(body) : parseJson(body);
  const code = fromBody.code ?? headers.get("x-amzn-errortype") ?? `HTTP ${status}`;
  const requestId = fromBody.requestId ?? requestIdOf(headers);
  return {
    // `com.amazonaws.ssm#TargetNotConnected`, and in the header `TargetNotConnected:http://…`
    code: code.replace(/^.*#/, "").replace(/:.*$/, ""),
    message: tidy(fromBody.message ?? ""),
    status,
    ...(requestId !== undefined && { requestId }),
  };
}

interface Parts {
  readonly code?: string | undefined;
  readonly message?: string | undefined;
  readonly requestId?: string | undefined;
}

function parseJson(body: string): Parts {
  let json: unknown;
  try {
    json = JSON.parse(body);
  } catch {
    return { message: body.slice(0, MAX_MESSAGE_CHARS) };
  }
  const get = (name: string) => {
    const value = nodeAt(json, name);
    return typeof value === "string" && value !== "" ? value : undefined;
  };
  return { code: get("__type") ?? get("code"), message: get("message") ?? get("Message") };
}

/** EC2 answers `Response/Errors/Error`, STS `ErrorResponse/Error`. */
async function parseXmlError(body: string): Promise<Parts> {
  try {
    const document = await parseXml(body);
    const response = nodeAt(document, "Response") ?? nodeAt(document, "ErrorResponse");
    const error = nodeAt(response, "Errors", "Error") ?? nodeAt(response, "Error");
    return {
      code: textAt(error, "Code"),
      message: textAt(error, "Message"),
      requestId: textAt(response, "RequestID") ?? textAt(response, "RequestId"),
    };
  } catch (error) {
    return { message: `the answer is not well-formed XML: ${describeError(error)}` };
  }
}

const MAX_MESSAGE_CHARS = 500;

/**
 * The part of a service's message that a person can use. What is cut may be secret: a signature
 * mismatch quotes the canonical request with its session token, an incomplete signature the
 * authorization header, and an encoded authorization message is only for `sts:Decode…`.
 */
function tidy(message: string): string {
  const [line = ""] = message.trim().split(/[\r\n]/);
  return line
    .replace(
      /\s*(The Canonical String|Encoded authorization failure message:|Authorization=).*$/,
      "",
    )
    .slice(0, MAX_MESSAGE_CHARS)
    .trim()
    .replace(/\.$/, "");
}
