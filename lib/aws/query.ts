/**
 * The Query protocol: the operation and its parameters as a form, the answer as XML.
 * Source: Amazon EC2 API Reference, "Making requests".
 *
 * @module
 */

import { requestIdOf } from "./answer.ts";
import type { AwsClient, AwsRequest } from "./client.ts";
import { unreadableAnswer } from "./json.ts";
import { nodeAt, parseXml, type XmlNode } from "./xml.ts";

/** A call. */
export interface QueryRequest
  extends Pick<AwsRequest, "service" | "operation" | "subject" | "signal"> {
  /** API version, a date. */
  readonly version: string;
  /** Parameters with their flattened names, for example `InstanceId.1`. */
  readonly parameters: Readonly<Record<string, string>>;
}

/**
 * Sends the call and returns the answer's root element, `<operation>Response`.
 * @throws AwsocksError as {@linkcode AwsClient.send}, `aws-request-failed` for another answer
 */
export async function sendQuery(
  client: AwsClient,
  { version, parameters, ...request }: QueryRequest,
): Promise<XmlNode> {
  const form = new URLSearchParams({
    Action: request.operation,
    Version: version,
    ...parameters,
  });
  const answer = await client.send({
    ...request,
    headers: { "content-type": "application/x-www-form-urlencoded; charset=utf-8" },
    body: form.toString(),
  });
  const root = `${request.operation}Response`;
  try {
    const response = nodeAt(await parseXml(answer.body), root);
    if (response !== undefined) return response;
    throw new SyntaxError(`there is no ${root} in it`);
  } catch (cause) {
    throw unreadableAnswer(request, requestIdOf(answer.headers), cause);
  }
}
