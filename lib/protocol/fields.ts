/**
 * Checks of JSON values from the other end: what passes has the type that it claims, and a bounded size.
 *
 * @module
 */

import { AwsocksError } from "../core/mod.ts";

/**
 * Turns a JSON value into a T.
 * @param at where the value stands, for the message
 * @throws AwsocksError `tunnel-protocol-error`
 */
export type Decoder<T> = (value: unknown, at: string) => T;

/** The type that a decoder gives. */
export type Decoded<D> = D extends Decoder<infer T> ? T : never;

/** Longest text unless said otherwise, in UTF-16 code units. */
const MAX_TEXT = 4096;

/** Text of bounded length. */
export function text(max: number = MAX_TEXT): Decoder<string> {
  return (value, at) => {
    if (typeof value !== "string") throw wrong(at, "is not text");
    if (value.length > max) throw wrong(at, `is longer than ${max} characters`);
    return value;
  };
}

/** A whole number within bounds. */
export function whole(min: number, max: number = Number.MAX_SAFE_INTEGER): Decoder<number> {
  return (value, at) => {
    if (typeof value !== "number" || !Number.isInteger(value) || value < min || value > max) {
      throw wrong(at, `is not a whole number from ${min} to ${max}`);
    }
    return value;
  };
}

/** A finite number. */
export const number: Decoder<number> = (value, at) => {
  if (typeof value !== "number" || !Number.isFinite(value)) throw wrong(at, "is not a number");
  return value;
};

/** True or false. */
export const flag: Decoder<boolean> = (value, at) => {
  if (typeof value !== "boolean") throw wrong(at, "is neither true nor false");
  return value;
};

/** One of some words. */
export function oneOf<const W extends string>(words: readonly W[]): Decoder<W> {
  return (value, at) => {
    const found = words.find((word) => word === value);
    if (found === undefined) throw wrong(at, `is none of ${words.join(", ")}`);
    return found;
  };
}

/** Text, a number, true or false. */
export function scalar(max: number = MAX_TEXT): Decoder<string | number | boolean> {
  const asText = text(max);
  return (value, at) => {
    if (typeof value === "boolean") return value;
    return typeof value === "number" ? number(value, at) : asText(value, at);
  };
}

/** A value that may be absent. */
export function optional<T>(decoder: Decoder<T>): Decoder<T | undefined> {
  return (value, at) => value === undefined ? undefined : decoder(value, at);
}

/** A list of bounded length. */
export function list<T>(item: Decoder<T>, max: number): Decoder<readonly T[]> {
  return (value, at) => {
    if (!Array.isArray(value)) throw wrong(at, "is not a list");
    if (value.length > max) throw wrong(at, `has more than ${max} items`);
    return value.map((each, index) => item(each, `${at}[${index}]`));
  };
}

/** An object with any keys, of bounded number. */
export function dictionary<T>(item: Decoder<T>, max: number): Decoder<Readonly<Record<string, T>>> {
  return (value, at) => {
    const entries = Object.entries(record(value, at));
    if (entries.length > max) throw wrong(at, `has more than ${max} fields`);
    const checked = entries.map(([key, each]) => [clip(key), item(each, `${at}.${clip(key)}`)]);
    return Object.fromEntries(checked) as Record<string, T>;
  };
}

/** An object with known keys. Others are ignored: a later version may have them. */
export function object<T extends object>(
  fields: { readonly [K in keyof Required<T>]: Decoder<T[K]> },
): Decoder<T> {
  const decoders = Object.entries<Decoder<unknown>>(fields);
  return (value, at) => {
    const given = record(value, at);
    const checked = decoders
      .map(([key, decode]) => [key, decode(own(given, key), `${at}.${key}`)] as const)
      .filter(([, each]) => each !== undefined);
    // Safe: each key of T has gone through its own decoder.
    return Object.fromEntries(checked) as T;
  };
}

/** No value; whatever there is, is ignored. */
export const nothing: Decoder<void> = () => {};

/** A value that somebody else checks. */
export const anything: Decoder<unknown> = (value) => value;

function record(value: unknown, at: string): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw wrong(at, "is not an object");
  }
  return value as Record<string, unknown>;
}

function own(from: Record<string, unknown>, key: string): unknown {
  return Object.hasOwn(from, key) ? from[key] : undefined;
}

function clip(key: string): string {
  return key.slice(0, 64);
}

function wrong(at: string, why: string): AwsocksError {
  return new AwsocksError(
    "tunnel-protocol-error",
    `The peer sent a malformed message: ${at} ${why}`,
    {
      facts: { field: at },
    },
  );
}
