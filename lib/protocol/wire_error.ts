/**
 * Failures as values on the wire: code, message, hint and causes, so that what failed in the guest is
 * told on the host as if it had failed there.
 *
 * @module
 */

import {
  AwsocksError,
  type ErrorCode,
  isAwsocksError,
  OUTCOMES,
  toAwsocksError,
} from "../core/mod.ts";
import { type Decoder, object, optional, text } from "./fields.ts";

/** A failure as JSON. */
export interface WireError {
  /** Absent for an error that is not the project's own, such as a cause from a library. */
  readonly code?: string;
  readonly message: string;
  readonly hint?: string;
  readonly cause?: WireError;
}

/** Causes that are told, the failure itself included. */
const MAX_DEPTH = 5;

/** Longest message or hint, in UTF-16 code units. */
const MAX_LENGTH = 1000;

/** A failure as JSON. */
export function encodeError(error: unknown): WireError {
  return encode(toAwsocksError(error), MAX_DEPTH);
}

function encode(error: unknown, depth: number): WireError {
  const own = isAwsocksError(error) ? error : undefined;
  const message = error instanceof Error ? error.message || error.name : String(error);
  const cause = error instanceof Error ? error.cause : undefined;
  return {
    message: printable(message),
    ...(own && { code: own.code, hint: printable(own.hint) }),
    ...(cause !== undefined && depth > 1 && { cause: encode(cause, depth - 1) }),
  };
}

const checked: Decoder<WireError> = (value, at) => decoders[MAX_DEPTH]!(value, at);

/** By the number of levels that may follow; deeper ones are dropped. */
const decoders: Decoder<WireError>[] = [];
for (let depth = 0; depth <= MAX_DEPTH; depth++) {
  const deeper = decoders[depth - 1];
  decoders.push(object<WireError>({
    code: optional(text(64)),
    message: text(),
    hint: optional(text()),
    cause: deeper ? optional(deeper) : () => undefined!,
  }));
}

/**
 * A failure from its JSON.
 *
 * A code that this version does not know becomes `unknownCode`: it comes from a later one.
 * @throws AwsocksError `tunnel-protocol-error` for what is no failure
 */
export function decodeError(
  value: unknown,
  at: string,
  unknownCode: ErrorCode = "destination-failed",
): AwsocksError {
  const decode = (wire: WireError): Error => {
    const cause = wire.cause && decode(wire.cause);
    const message = printable(wire.message);
    if (wire.code === undefined) return new Error(message, cause && { cause });
    return new AwsocksError(isCode(wire.code) ? wire.code : unknownCode, message, {
      ...(cause && { cause }),
      ...(wire.hint !== undefined && { hint: printable(wire.hint) }),
    });
  };
  return toAwsocksError(decode(checked(value, at)), unknownCode);
}

function isCode(text: string): text is ErrorCode {
  return Object.hasOwn(OUTCOMES, text);
}

/**
 * Text from elsewhere, made fit for a terminal: one line, no control characters, bounded.
 * @param max UTF-16 code units
 */
export function printable(text: string, max: number = MAX_LENGTH): string {
  // deno-lint-ignore no-control-regex -- they are what is to be removed
  const clean = text.replaceAll(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g, " ");
  return clean.length > max ? `${clean.slice(0, max - 1)}…` : clean;
}
