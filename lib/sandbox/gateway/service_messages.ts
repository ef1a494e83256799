/**
 * Messages that the gateway makes itself.
 *
 * @module
 */

import { ACKNOWLEDGE_FLAGS, MessageType } from "../../ssm/constants.ts";
import type { ClientMessage } from "../../ssm/message.ts";
import { type Frame, frameOf } from "../frame.ts";

const NIL_UUID = "00000000-0000-0000-0000-000000000000";

/** What {@linkcode channelClosed} tells. */
export interface ChannelClosedFields {
  readonly messageId: string;
  readonly now: number;
  readonly sessionId: string;
  /** The session's target. */
  readonly destinationId: string;
  /** Why, in words for the user; often empty. */
  readonly output: string;
}

/** `channel_closed`: the session is over. */
export function channelClosed(fields: ChannelClosedFields): Frame {
  const payload = JSON.stringify({
    MessageType: MessageType.ChannelClosed,
    MessageId: fields.messageId,
    DestinationId: fields.destinationId,
    SessionId: fields.sessionId,
    SchemaVersion: 1,
    CreatedDate: new Date(fields.now).toISOString(),
    Output: fields.output,
  });
  return frameOf(plain(MessageType.ChannelClosed, fields, new TextEncoder().encode(payload)));
}

/** `start_publication` or `pause_publication`; `bare` leaves every other header field zero. */
export function publication(
  type: typeof MessageType.StartPublication | typeof MessageType.PausePublication,
  style: "plain" | "bare",
  fields: { readonly messageId: string; readonly now: number },
): Frame {
  const message = plain(type, fields, new Uint8Array());
  return frameOf(
    style === "plain"
      ? message
      : { ...message, schemaVersion: 0, createdDate: 0, flags: 0, messageId: NIL_UUID },
  );
}

function plain(
  messageType: string,
  fields: { readonly messageId: string; readonly now: number },
  payload: Uint8Array,
): ClientMessage {
  return {
    messageType,
    schemaVersion: 1,
    createdDate: fields.now,
    sequenceNumber: 0,
    flags: ACKNOWLEDGE_FLAGS,
    messageId: fields.messageId,
    payloadType: 0,
    payload,
  };
}
