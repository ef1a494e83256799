/**
 * The client of the service `ssm`: the session calls, and what AWS knows of an instance's agent.
 *
 * Source: AWS Systems Manager API reference, JSON 1.1 protocol.
 *
 * @module
 */

import { type AwsClient, sendJson } from "../aws/mod.ts";
import { AwsocksError, isAwsocksError } from "../core/mod.ts";
import type { CallOptions, SessionGrant, SessionService, StartSessionRequest } from "./service.ts";

/** What AWS knows of an instance's agent. */
export interface InstanceInformation {
  readonly instanceId: string;
  /** `Online`, `ConnectionLost` or `Inactive`. */
  readonly pingStatus: string;
  readonly agentVersion: string;
  readonly platformName: string;
}

/** Calls `ssm` in one region. */
export class SsmClient implements SessionService {
  readonly #aws: AwsClient;

  constructor(aws: AwsClient) {
    this.#aws = aws;
  }

  async startSession(
    request: StartSessionRequest,
    options: CallOptions = {},
  ): Promise<SessionGrant> {
    const output = await this.#call("StartSession", request.target, {
      Target: request.target,
      DocumentName: request.documentName,
      Parameters: request.parameters,
      ...(request.reason && { Reason: request.reason }),
    }, options);
    const grant = grantOf(output);
    if (grant) return grant;
    throw new AwsocksError(
      "aws-request-failed",
      `The answer to ssm:StartSession for ${request.target} has no session in it`,
    );
  }

  async resumeSession(
    sessionId: string,
    options: CallOptions = {},
  ): Promise<SessionGrant | null> {
    try {
      const output = await this.#call(
        "ResumeSession",
        sessionId,
        { SessionId: sessionId },
        options,
      );
      return grantOf({ SessionId: sessionId, ...output });
    } catch (error) {
      if (codeOf(error) === "DoesNotExistException") return null;
      throw error;
    }
  }

  async terminateSession(sessionId: string, options: CallOptions = {}): Promise<void> {
    await this.#call("TerminateSession", sessionId, { SessionId: sessionId }, options);
  }

  /** @returns undefined for an instance whose agent has never reported, or that is not ours */
  async describeInstanceInformation(
    instanceId: string,
    options: CallOptions = {},
  ): Promise<InstanceInformation | undefined> {
    const output = await this.#call("DescribeInstanceInformation", instanceId, {
      Filters: [{ Key: "InstanceIds", Values: [instanceId] }],
    }, options);
    const list = Array.isArray(output.InstanceInformationList)
      ? output.InstanceInformationList as Readonly<Record<string, unknown>>[]
      : [];
    const found = list.find((item) => item.InstanceId === instanceId);
    return found && {
      instanceId,
      pingStatus: text(found.PingStatus),
      agentVersion: text(found.AgentVersion),
      platformName: text(found.PlatformName),
    };
  }

  #call(
    operation: string,
    subject: string,
    input: Readonly<Record<string, unknown>>,
    { signal }: CallOptions,
  ): Promise<Readonly<Record<string, unknown>>> {
    return sendJson(this.#aws, {
      service: "ssm",
      target: "AmazonSSM",
      operation,
      subject,
      input,
      // Scoped credentials are renewed before a session that has lived for an hour is given up.
      renewOnDenied: operation === "ResumeSession",
      signal,
    });
  }
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}

/** An answer without a token says that the session has ended. */
function grantOf(output: Readonly<Record<string, unknown>>): SessionGrant | null {
  const grant = {
    sessionId: text(output.SessionId),
    streamUrl: text(output.StreamUrl),
    tokenValue: text(output.TokenValue),
  };
  return grant.tokenValue && grant.sessionId ? grant : null;
}

/** The service's own error code. */
function codeOf(error: unknown): string | undefined {
  return isAwsocksError(error) ? String(error.facts.code ?? "") : undefined;
}
