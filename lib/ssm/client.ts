/**
 * The client of the service `ssm`: the session calls, and what AWS knows of an instance's agent.
 *
 * Source: AWS Systems Manager API reference, JSON 1.1 protocol.
 *
 * @module
 */

import {
  type AwsClient,
  type JsonRequest,
  nodeAt,
  sendJson,
  unreadableAnswer,
} from "../aws/mod.ts";
import { isAwsocksError } from "../core/mod.ts";
import type { CallOptions, SessionGrant, SessionService, StartSessionRequest } from "./service.ts";

/** What AWS knows of an instance's agent. */
export interface InstanceInformation {
  readonly instanceId: string;
  /** `Online`, `ConnectionLost` or `Inactive`; text that AWS may add passes. */
  readonly pingStatus: string;
  /** Empty if AWS does not say. */
  readonly agentVersion: string;
  /** For example `Amazon Linux`; empty if AWS does not say. */
  readonly platformName: string;
}

/** Longest `Reason` of StartSession, in characters. */
const MAX_REASON_CHARS = 256;

/** Output of a call: a JSON object. */
type Output = Readonly<Record<string, unknown>>;

/** Calls `ssm` in one region. Failures that a repetition may mend were repeated. */
export class SsmClient implements SessionService {
  readonly #aws: AwsClient;

  constructor(aws: AwsClient) {
    this.#aws = aws;
  }

  /**
   * Starts a session. It lives at AWS from now on, also when its answer is lost on the way: such a
   * call is repeated, and the session nobody knows ends by its own time-out.
   *
   * An agent that is not connected yet (`agent-offline`) is left to the caller.
   */
  async startSession(
    request: StartSessionRequest,
    options: CallOptions = {},
  ): Promise<SessionGrant> {
    const { target, documentName, parameters, reason } = request;
    const operation = "StartSession";
    const output = await this.#call({ operation, subject: target }, {
      Target: target,
      DocumentName: documentName,
      Parameters: parameters,
      ...(reason && { Reason: reason.slice(0, MAX_REASON_CHARS) }),
    }, options);
    const grant = grantOf(output);
    if (grant && grant.sessionId && grant.streamUrl) return grant;
    throw unreadableAnswer(
      { service: "ssm", operation },
      undefined,
      new Error("a session needs an id, a StreamUrl and a token"),
    );
  }

  /**
   * Asks for a new token and URL. The StreamUrl may be empty: then the old one is still good.
   *
   * Scoped credentials lose their rights after about an hour, so a denial is tried once more with
   * fresh ones; `aws-access-denied` means that those are denied too, which is final.
   */
  async resumeSession(
    sessionId: string,
    options: CallOptions = {},
  ): Promise<SessionGrant | null> {
    const call = { operation: "ResumeSession", subject: sessionId, renewOnDenied: true };
    try {
      const output = await this.#call(call, { SessionId: sessionId }, options);
      return grantOf({ SessionId: sessionId, ...output });
    } catch (error) {
      if (serviceCodeOf(error) === "DoesNotExistException") return null;
      throw error;
    }
  }

  /** Ends a session; one that has ended already is no failure. */
  async terminateSession(sessionId: string, options: CallOptions = {}): Promise<void> {
    const call = { operation: "TerminateSession", subject: sessionId, renewOnDenied: true };
    try {
      await this.#call(call, { SessionId: sessionId }, options);
    } catch (error) {
      if (serviceCodeOf(error) !== "DoesNotExistException") throw error;
    }
  }

  /** @returns undefined for an instance whose agent has never reported, or that is not ours */
  async describeInstanceInformation(
    instanceId: string,
    options: CallOptions = {},
  ): Promise<InstanceInformation | undefined> {
    const call = { operation: "DescribeInstanceInformation", subject: instanceId };
    let output: Output;
    try {
      output = await this.#call(call, {
        Filters: [{ Key: "InstanceIds", Values: [instanceId] }],
      }, options);
    } catch (error) {
      // "Not a managed node of this account": what an unregistered agent looks like.
      if (serviceCodeOf(error) === "InvalidInstanceId") return undefined;
      throw error;
    }
    const list: readonly unknown[] = Array.isArray(output.InstanceInformationList)
      ? output.InstanceInformationList
      : [];
    const found = list.find((item) => nodeAt(item, "InstanceId") === instanceId);
    if (found === undefined) return undefined;
    return {
      instanceId,
      pingStatus: textOf(found, "PingStatus"),
      agentVersion: textOf(found, "AgentVersion"),
      platformName: textOf(found, "PlatformName"),
    };
  }

  #call(
    request: Pick<JsonRequest, "operation" | "subject" | "renewOnDenied">,
    input: Output,
    { signal }: CallOptions,
  ): Promise<Output> {
    return sendJson(this.#aws, { service: "ssm", target: "AmazonSSM", ...request, input, signal });
  }
}

/** An answer without a token says that the session has ended. */
function grantOf(output: Output): SessionGrant | null {
  const tokenValue = textOf(output, "TokenValue");
  if (tokenValue === "") return null;
  return {
    sessionId: textOf(output, "SessionId"),
    streamUrl: textOf(output, "StreamUrl"),
    tokenValue,
  };
}

function textOf(output: unknown, name: string): string {
  const value = nodeAt(output, name);
  return typeof value === "string" ? value : "";
}

/** The service's own error code. */
function serviceCodeOf(error: unknown): unknown {
  return isAwsocksError(error) ? error.facts.code : undefined;
}
