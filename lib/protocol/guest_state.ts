/**
 * What the guest tells of itself: how its backend is, and its log.
 *
 * @module
 */

import type { AwsocksError } from "../core/mod.ts";
import type { BackendStateName, GuestLogRecord, StateNotice } from "./calls.ts";
import { decodeError, encodeError, printable } from "./wire_error.ts";

/** How the guest's backend is. */
export interface GuestState {
  readonly state: BackendStateName;
  /** Its latest failure; absent while all is well. */
  readonly error?: AwsocksError;
}

/** A line of the guest's log. */
export interface GuestLogLine extends GuestLogRecord {
  /** Lines before it that were lost because the host did not take them in time. */
  readonly dropped?: number;
}

/** A state as JSON. */
export function encodeState({ state, error }: GuestState): StateNotice {
  return { state, ...(error && { error: encodeError(error) }) };
}

/** A state from its JSON. @throws AwsocksError `tunnel-protocol-error` */
export function decodeState({ state, error }: StateNotice): GuestState {
  return { state, ...(error !== undefined && { error: decodeError(error, "state.error") }) };
}

/**
 * A line of bounded length and without control characters, so that neither the tunnel nor a terminal
 * suffers from it. Done at both ends: the other one may be hostile.
 */
export function printableLine<L extends GuestLogLine>(line: L): L {
  const fields = Object.entries(line.fields ?? {}).slice(0, MAX_FIELDS).map(([key, value]) => [
    printable(key, MAX_NAME),
    typeof value === "string" ? printable(value, MAX_FIELD) : value,
  ]);
  return {
    ...line,
    room: printable(line.room, MAX_NAME),
    message: printable(line.message, MAX_MESSAGE),
    ...(line.fields && { fields: Object.fromEntries(fields) }),
  };
}

/** Fields of a line; what is more is left out. */
const MAX_FIELDS = 32;

/** Longest room and field name, field, and message, in UTF-16 code units. */
const MAX_NAME = 64;
const MAX_FIELD = 500;
const MAX_MESSAGE = 2000;
