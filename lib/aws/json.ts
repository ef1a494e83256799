/**
 * AWS JSON 1.1: the operation in a header, input and output as JSON objects.
 * Source: AWS documentation of the protocol, as in Smithy "AWS JSON 1.1".
 *
 * @module
 */

import { AwsocksError } from "../core/mod.ts";
import { requestIdOf } from "./answer.ts";
import type { AwsClient, AwsRequest } from "./client.ts";

/** A call; `target` is the service's prefix in `X-Amz-Target`, for example `AmazonSSM`. */
export interface JsonRequest
  extends Pick<AwsRequest, "service" | "operation" | "subject" | "renewOnDenied" | "signal"> {
  readonly target: string;
  readonly input: Readonly<Record<string, unknown>>;
}

/**
 * Sends the call and returns its output.
 * @throws AwsocksError as {@linkcode AwsClient.send}, `aws-request-failed` for an answer that is no
 *   JSON object
 */
export async function sendJson(
  client: AwsClient,
  { target, input, ...request }: JsonRequest,
): Promise<Readonly<Record<string, unknown>>> {
  const answer = await client.send({
    ...request,
    headers: {
      "content-type": "application/x-amz-json-1.1",
      "x-amz-target": `${target}.${request.operation}`,
    },
    body: JSON.stringify(input),
  });
  try {
    const output: unknown = JSON.parse(answer.body);
    if (typeof output === "object" && output !== null && !Array.isArray(output)) {
      return output as Record<string, unknown>;
    }
    throw new SyntaxError("it is not a JSON object");
  } catch (cause) {
    throw unreadableAnswer(request, requestIdOf(answer.headers), cause);
  }
}

/** A successful status with an answer that cannot be understood. */
export function unreadableAnswer(
  request: Pick<AwsRequest, "service" | "operation">,
  requestId: string | undefined,
  cause: unknown,
): AwsocksError {
  const action = `${request.service}:${request.operation}`;
  return new AwsocksError("aws-request-failed", `The answer to ${action} cannot be read`, {
    cause,
    facts: { action, requestId },
    hint: "is something else than AWS answering at the endpoint?",
  });
}
