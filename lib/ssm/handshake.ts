/**
 * The client's side of the handshake: what to answer to a HandshakeRequest.
 *
 * Source: Session Manager protocol, handshake payloads. Pure.
 *
 * @module
 */

import { AwsocksError } from "../core/errors.ts";
import { ActionStatus, CLIENT_VERSION } from "./constants.ts";
import type { HandshakeRequest, HandshakeResponse, ProcessedAction } from "./payloads.ts";

/** What the agent said of itself and of the session. */
export interface SessionInfo {
  /** Four-part version of the agent. */
  readonly agentVersion: string;
  /** Resolved properties of the session document, for example `portNumber`. */
  readonly properties: Readonly<Record<string, string>>;
}

/** The answer to a HandshakeRequest, and the reason if it ends the session. */
export interface HandshakeAnswer {
  readonly response: HandshakeResponse;
  readonly info: SessionInfo;
  /** Set when an action was not possible: the agent cancels the session after such an answer. */
  readonly error?: AwsocksError;
}

/** Answers a HandshakeRequest of a port session. */
export function answerHandshake(
  request: HandshakeRequest,
  clientVersion: string = CLIENT_VERSION,
): HandshakeAnswer {
  let properties: Record<string, string> = {};
  let sessionType: string | undefined;
  let error: AwsocksError | undefined;
  const refuse = (actionType: string, why: string): ProcessedAction => {
    error ??= new AwsocksError("session-handshake-failed", why);
    return { actionType, actionStatus: ActionStatus.Unsupported, error: why };
  };
  const process = (actionType: string, parameters: Readonly<Record<string, unknown>>) => {
    switch (actionType) {
      case "SessionType":
        sessionType = String(parameters.SessionType ?? "");
        if (sessionType !== "Port") {
          return refuse(actionType, `The session is of type "${sessionType}", not a port session`);
        }
        properties = stringProperties(parameters.Properties);
        return { actionType, actionStatus: ActionStatus.Success };
      case "KMSEncryption":
        // The agent never encrypts port sessions, so only a session of another kind can ask.
        return refuse(
          actionType,
          "The agent asks for KMS encryption, which port sessions never use",
        );
      default:
        return refuse(actionType, `The agent asks for the unknown action "${actionType}"`);
    }
  };
  const processedClientActions = request.requestedClientActions.map((action) =>
    process(action.actionType, action.actionParameters)
  );
  if (sessionType === undefined) {
    error ??= new AwsocksError("session-handshake-failed", "The agent named no session type");
  }
  return {
    response: {
      clientVersion,
      processedClientActions,
      ...(error && { errors: [error.message] }),
    },
    info: { agentVersion: request.agentVersion, properties },
    ...(error && { error }),
  };
}

function stringProperties(value: unknown): Record<string, string> {
  if (typeof value !== "object" || value === null) return {};
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, String(item)]));
}
