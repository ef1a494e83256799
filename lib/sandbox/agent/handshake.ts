/**
 * The agent's half of the handshake: what it asks, how it reads the answer, and its words when
 * there is none. Written from the protocol, not with the client's codec.
 *
 * @module
 */

import { ActionStatus } from "../../ssm/constants.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Bytes of a HandshakeRequest for a port session. */
export function handshakeRequest(
  agentVersion: string,
  properties: Readonly<Record<string, string>>,
): Uint8Array {
  return encoder.encode(JSON.stringify({
    AgentVersion: agentVersion,
    RequestedClientActions: [{
      ActionType: "SessionType",
      ActionParameters: { SessionType: "Port", Properties: properties },
    }],
  }));
}

/** Bytes of a HandshakeComplete. @param ms what the handshake took, in milliseconds */
export function handshakeComplete(ms: number): Uint8Array {
  const nanoseconds = Math.round(ms * 1e6);
  return encoder.encode(
    JSON.stringify({ HandshakeTimeToComplete: nanoseconds, CustomerMessage: "" }),
  );
}

/** What a HandshakeResponse said. */
export interface HandshakeAnswer {
  readonly clientVersion: string;
  /** Why the agent ends the session; absent when all is well. */
  readonly failure?: string;
}

/** Reads a HandshakeResponse. @throws SyntaxError or TypeError for one that is none */
export function readHandshakeResponse(payload: Uint8Array): HandshakeAnswer {
  const json = JSON.parse(decoder.decode(payload));
  if (typeof json?.ClientVersion !== "string") throw new TypeError("No ClientVersion");
  const answer = { clientVersion: json.ClientVersion };
  for (const action of json.ProcessedClientActions ?? []) {
    if (action?.ActionStatus !== ActionStatus.Success) {
      const { ActionType: type, ActionStatus: status, Error: error } = action ?? {};
      return {
        ...answer,
        failure: `${type} failed on client with status ${status ?? 0} error: ${error ?? ""}`,
      };
    }
  }
  return answer;
}

/** Text of `channel_closed` for a session that failed before its plugin ran. */
export function failureText(reason: string): string {
  return `\n----------ERROR-------\n${reason}`;
}

/** The agent's words for a client that never answered. */
export const HANDSHAKE_TIMED_OUT =
  "Encountered error while initiating handshake. Handshake timed out. " +
  "Please ensure that you have the latest version of the session manager plugin.";
