/**
 * A data channel message together with its bytes: what the gateway relays.
 *
 * @module
 */

import { type ClientMessage, encodeMessage } from "../ssm/message.ts";
import { MessageType } from "../ssm/constants.ts";

/** A message and its serialised form. */
export interface Frame {
  readonly message: ClientMessage;
  readonly bytes: Uint8Array;
}

/** Serialises a message. */
export function frameOf(message: ClientMessage): Frame {
  return { message, bytes: encodeMessage(message) };
}

/** True for messages whose loss the protocol repairs: the only ones that faults may touch. */
export function isRepairable(frame: Frame): boolean {
  const type = frame.message.messageType;
  return type === MessageType.InputStreamData || type === MessageType.OutputStreamData ||
    type === MessageType.Acknowledge;
}
