/**
 * The sandbox's SSM: JSON 1.1, the calls that a session needs.
 *
 * @module
 */

import { type DocumentParameters, findDocument } from "../documents.ts";
import type { Fleet, Instance } from "../fleet.ts";
import type { GatewaySession } from "../gateway/session.ts";
import type { Identity } from "../identities.ts";
import type { Switches } from "../options.ts";
import type { Sessions } from "../sessions.ts";
import { ApiFault } from "./fault.ts";
import { invalidValue, type Json, optional, text } from "./json.ts";

const MAX_TARGET = 400;
const MAX_REASON = 256;
const DEFAULT_DOCUMENT = "SSM-SessionManagerRunShell";

/** What the calls work on. */
export interface SsmContext {
  readonly fleet: Fleet;
  readonly sessions: Sessions;
  readonly switches: () => Switches;
  readonly agentVersion: string;
}

type Operation = (context: SsmContext, input: Json, caller: Identity) => Json;

/** The calls, by the name behind `AmazonSSM.` in the header `X-Amz-Target`. */
export const SSM_OPERATIONS: Readonly<Record<string, Operation>> = {
  StartSession(context, input, caller) {
    const target = text(input, "Target", 1, MAX_TARGET);
    const reason = optional(input, "Reason", 1, MAX_REASON) ?? "";
    const name = optional(input, "DocumentName", 1, MAX_TARGET) ?? DEFAULT_DOCUMENT;
    const document = findDocument(name);
    if (!document) {
      throw new ApiFault("InvalidDocument", `Document with name ${name} does not exist.`);
    }
    const resolved = document.resolve(parametersOf(input));
    if (typeof resolved === "string") throw new ApiFault("InvalidParameters", resolved);
    if (!context.fleet.reachable(target)) {
      throw new ApiFault("TargetNotConnected", `${target} is not connected.`);
    }
    const { sessionId, streamUrl, tokenValue } = context.sessions.start({
      instanceId: target,
      document: name,
      properties: resolved.properties,
      reason,
      caller,
    });
    return { SessionId: sessionId, StreamUrl: streamUrl, TokenValue: tokenValue };
  },

  ResumeSession(context, input) {
    const session = sessionOf(context, input);
    const { sessionId } = session.facts;
    if (session.ended) {
      if (context.switches().endedResume === "does-not-exist") throw doesNotExist(sessionId);
      return { SessionId: sessionId };
    }
    if (session.resumeRefused) {
      throw new ApiFault("InternalServerError", "An error occurred on the server side.", 500);
    }
    const { streamUrl, tokenValue } = session.grant();
    return { SessionId: sessionId, StreamUrl: streamUrl, TokenValue: tokenValue };
  },

  TerminateSession(context, input) {
    const sessionId = text(input, "SessionId", 1, 96);
    // Terminating a session twice, or one that was never there, is no error.
    context.sessions.get(sessionId)?.end("");
    return { SessionId: sessionId };
  },

  DescribeSessions(context, input) {
    const state = text(input, "State", 1, 16);
    if (state !== "Active" && state !== "History") {
      throw invalidValue(state, "state", "Member must satisfy enum value set: [Active, History]");
    }
    const sessions = context.sessions.list()
      .filter((session) => (session.ended === undefined) === (state === "Active"))
      .toReversed();
    return { Sessions: sessions.map(describeSession) };
  },

  DescribeInstanceInformation(context, input) {
    const wanted = wantedInstances(input);
    const list = context.fleet.list()
      .filter(({ agentSeen }) => agentSeen !== undefined)
      .filter(({ instanceId }) => !wanted || wanted.includes(instanceId));
    return {
      InstanceInformationList: list.map((each) => describeInstance(each, context.agentVersion)),
    };
  },
};

function describeSession(session: GatewaySession): Json {
  const { facts, startedAt, ended, status } = session;
  return {
    SessionId: facts.sessionId,
    Target: facts.instanceId,
    Status: status,
    StartDate: startedAt / 1000,
    ...(ended ? { EndDate: ended.at / 1000 } : {}),
    DocumentName: facts.document,
    Owner: facts.owner,
    ...(facts.reason ? { Reason: facts.reason } : {}),
    OutputUrl: {},
  };
}

function describeInstance(instance: Instance, agentVersion: string): Json {
  return {
    InstanceId: instance.instanceId,
    PingStatus: instance.agentOnline ? "Online" : "ConnectionLost",
    LastPingDateTime: (instance.agentSeen ?? 0) / 1000,
    AgentVersion: agentVersion,
    IsLatestVersion: false,
    PlatformType: "Linux",
    PlatformName: "Amazon Linux",
    PlatformVersion: "2023",
    ResourceType: "EC2Instance",
    IPAddress: instance.privateIp,
    ComputerName: `ip-${instance.privateIp.replaceAll(".", "-")}.sandbox.internal`,
  };
}

function sessionOf(context: SsmContext, input: Json): GatewaySession {
  const sessionId = text(input, "SessionId", 1, 96);
  const session = context.sessions.get(sessionId);
  if (!session) throw doesNotExist(sessionId);
  return session;
}

function doesNotExist(sessionId: string): ApiFault {
  return new ApiFault("DoesNotExistException", `Session ${sessionId} does not exist.`);
}

/** `Filters` or `InstanceInformationFilterList` with the key InstanceIds; undefined: all. */
function wantedInstances(input: Json): readonly string[] | undefined {
  for (const [list, key, values] of FILTER_SHAPES) {
    const filters = input[list];
    if (!Array.isArray(filters)) continue;
    for (const filter of filters) {
      if (filter?.[key] === "InstanceIds" && Array.isArray(filter[values])) return filter[values];
    }
  }
  return undefined;
}

const FILTER_SHAPES = [
  ["Filters", "Key", "Values"],
  ["InstanceInformationFilterList", "key", "valueSet"],
] as const;

function parametersOf(input: Json): DocumentParameters {
  const parameters = input.Parameters ?? {};
  const valid = typeof parameters === "object" && !Array.isArray(parameters) &&
    Object.values(parameters).every((list) =>
      Array.isArray(list) && list.every((value) => typeof value === "string")
    );
  if (!valid) {
    throw new ApiFault("SerializationException", "Parameters must map names to lists of strings");
  }
  return parameters as DocumentParameters;
}
