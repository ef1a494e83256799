/**
 * Input of JSON 1.1 calls.
 *
 * @module
 */

import { ApiFault } from "./fault.ts";

/** A JSON object. */
export type Json = Readonly<Record<string, unknown>>;

/** A text that may be absent. @throws ApiFault */
export function optional(input: Json, name: string, min: number, max: number): string | undefined {
  return input[name] === undefined || input[name] === null
    ? undefined
    : text(input, name, min, max);
}

/** A text of so many characters. @throws ApiFault */
export function text(input: Json, name: string, min: number, max: number): string {
  const value = input[name];
  const member = name[0]!.toLowerCase() + name.slice(1);
  if (value === undefined || value === null) {
    throw invalidValue("null", member, "Member must not be null");
  }
  if (typeof value !== "string") {
    throw new ApiFault("SerializationException", `${name} can not be converted to a String`);
  }
  if (value.length < min) {
    throw invalidValue(
      value,
      member,
      `Member must have length greater than or equal to ${min}`,
    );
  }
  if (value.length > max) {
    throw invalidValue(value, member, `Member must have length less than or equal to ${max}`);
  }
  return value;
}

/** What AWS says of a value that breaks a rule. */
export function invalidValue(value: string, member: string, constraint: string): ApiFault {
  return new ApiFault(
    "ValidationException",
    `1 validation error detected: Value '${value}' at '${member}' failed to satisfy constraint: ` +
      constraint,
  );
}
