/** Everything that crosses the tunnel as a value: fields, configuration, failures, headers. */

import assert from "node:assert/strict";
import fc from "fast-check";
import {
  AwsocksError,
  BytePipe,
  type ErrorCode,
  isAwsocksError,
  OUTCOMES,
} from "../../lib/core/mod.ts";
import {
  DISRUPTION,
  GUEST_CALLS,
  HOST_CALLS,
  LOG,
  PROGRESS,
  STATE,
  TIME,
} from "../../lib/protocol/calls.ts";
import { guestConfig } from "../../lib/protocol/config.ts";
import {
  type Decoder,
  dictionary,
  flag,
  list,
  number,
  object,
  oneOf,
  optional,
  scalar,
  text,
  whole,
} from "../../lib/protocol/fields.ts";
import {
  encodeAnswer,
  encodeHeader,
  readAnswer,
  readHeader,
  TUNNEL_ROUTES,
} from "../../lib/protocol/header.ts";
import { encodeMessage } from "../../lib/protocol/message.ts";
import { checkVersion, PROTOCOL_VERSION } from "../../lib/protocol/version.ts";
import { decodeError, encodeError, printable } from "../../lib/protocol/wire_error.ts";
import { CONFIG } from "./pair.ts";

const refused = { code: "tunnel-protocol-error" };

function pipeOf(bytes: Uint8Array): BytePipe {
  const pipe = new BytePipe();
  pipe.push(bytes);
  pipe.end();
  return pipe;
}

const overWire = (value: unknown): unknown => JSON.parse(JSON.stringify(value ?? null));

Deno.test("decoders take what they name and refuse everything else with the place", () => {
  const cases: [Decoder<unknown>, unknown[], unknown[]][] = [
    [text(3), ["", "abc"], ["abcd", 1, null, undefined, {}]],
    [whole(1, 5), [1, 5], [0, 6, 1.5, NaN, Infinity, "1", null]],
    [number, [-1.5, 0], [NaN, Infinity, "0"]],
    [flag, [true, false], [0, "true", null]],
    [oneOf(["a", "b"]), ["a"], ["c", 0, undefined]],
    [scalar(3), ["abc", 1, false], ["abcd", null, {}, NaN]],
    [optional(flag), [undefined, true], [null, 1]],
    [list(flag, 2), [[], [true, false]], [[true, true, true], [1], {}, "ab"]],
    [dictionary(flag, 1), [{}, { a: true }], [{ a: true, b: true }, { a: 1 }, [], null]],
    [object<{ a?: boolean }>({ a: optional(flag) }), [{}, { a: true }], [{ a: 1 }, [], null, 3]],
  ];
  for (const [decoder, good, bad] of cases) {
    for (const value of good) assert.deepEqual(decoder(value, "it"), value);
    for (const value of bad) assert.throws(() => decoder(value, "it"), refused, String(value));
  }
  const nested = object<{ a: readonly { b: number }[] }>({ a: list(object({ b: number }), 9) });
  assert.throws(
    () => nested({ a: [{ b: 1 }, { b: "x" }] }, "it"),
    /: it\.a\[1\]\.b is not a number$/,
  );
});

Deno.test("object() drops fields it does not know and never reads a prototype", () => {
  const decoder = object<{ a?: string }>({ a: optional(text()) });
  assert.deepEqual(decoder({ a: "x", later: 1 }, "it"), { a: "x" });
  assert.deepEqual(decoder(JSON.parse('{"__proto__":{"a":"x"}}'), "it"), {});
  assert.deepEqual(dictionary(flag, 9)(JSON.parse('{"toString":true}'), "it"), { toString: true });
});

Deno.test("every decoder of the protocol refuses random JSON or gives what it names", () => {
  const decoders = [
    ...Object.values(GUEST_CALLS).flatMap(({ params, result }) => [params, result]),
    ...Object.values(HOST_CALLS).flatMap(({ params, result }) => [params, result]),
    ...[TIME, DISRUPTION, STATE, LOG, PROGRESS].map(({ params }) => params),
  ] as Decoder<unknown>[];
  fc.assert(
    fc.property(fc.constantFrom(...decoders), fc.jsonValue(), (decoder, value) => {
      try {
        decoder(value, "it");
      } catch (error) {
        assert.ok(isAwsocksError(error, "tunnel-protocol-error", "tunnel-incompatible"));
      }
    }),
    { numRuns: 2000 },
  );
});

Deno.test("a configuration comes back as it was sent", () => {
  const full = {
    ...CONFIG,
    name: "bastion-*",
    endpoints: { ssm: "http://10.0.2.2:8080", ssmmessages: "ws://10.0.2.2:8080" },
    caBundle: "-----BEGIN CERTIFICATE-----",
    log: { level: "debug", rooms: { ssm: "trace" } },
  };
  assert.deepEqual(guestConfig(overWire(full), "config"), full);
  assert.deepEqual(guestConfig(overWire(CONFIG), "config"), CONFIG);
});

Deno.test("a configuration of a later version, or that misses something, is refused", () => {
  assert.throws(() => guestConfig({ version: 2, other: "things" }, "config"), {
    code: "tunnel-incompatible",
  });
  for (const key of Object.keys(CONFIG).filter((key) => key !== "instanceId")) {
    const { [key]: _, ...rest } = { ...CONFIG } as Record<string, unknown>;
    assert.throws(() => guestConfig(rest, "config"), refused, key);
  }
});

Deno.test("failures keep code, message, hint and causes", () => {
  const codes = Object.keys(OUTCOMES) as ErrorCode[];
  fc.assert(
    fc.property(
      fc.constantFrom(...codes),
      fc.stringMatching(/^[ -~]{1,100}$/),
      fc.option(fc.stringMatching(/^[ -~]{0,50}$/), { nil: undefined }),
      fc.stringMatching(/^[ -~]{1,100}$/),
      (code, message, hint, why) => {
        const cause = new AwsocksError("timeout", why, { cause: new TypeError("deep") });
        const error = new AwsocksError(code, message, {
          cause,
          ...(hint === undefined ? {} : { hint }),
        });
        const back = decodeError(overWire(encodeError(error)), "error");
        assert.deepEqual([back.code, back.message, back.hint], [code, message, error.hint]);
        assert.ok(isAwsocksError(back.cause, "timeout"));
        assert.equal(back.cause.message, why);
        assert.equal((back.cause.cause as Error).message, "deep");
        assert.deepEqual(back.outcome, error.outcome);
      },
    ),
  );
});

Deno.test("failures are bounded: length, depth, characters", () => {
  let error = new AwsocksError("timeout", "bottom");
  for (let i = 0; i < 20; i++) error = new AwsocksError("timeout", `level ${i}`, { cause: error });
  let depth = 0;
  for (let at: unknown = encodeError(error); at; at = (at as { cause?: unknown }).cause) depth++;
  assert.equal(depth, 5);
  const long = encodeError(new AwsocksError("timeout", `\x1b]0;x\x07${"y".repeat(5000)}`));
  assert.equal(long.message.length, 1000);
  assert.match(long.message, /^ \]0;x y+…$/);
  assert.equal(encodeError("just text").message, "just text");
});

Deno.test("a code from a later version becomes one that says as much as is known", () => {
  const wire = { code: "quantum-decoherence", message: "It is gone", hint: "look away" };
  const error = decodeError(wire, "error");
  assert.deepEqual([error.code, error.message, error.hint], [
    "destination-failed",
    "It is gone",
    "look away",
  ]);
  assert.equal(
    decodeError({ code: "__proto__", message: "x" }, "error").code,
    "destination-failed",
  );
  assert.throws(() => decodeError({ message: 5 }, "error"), refused);
  assert.throws(() => decodeError(undefined, "error"), refused);
});

Deno.test("printable() leaves one line of visible text", () => {
  assert.equal(printable("a\r\nb\x1b[2Jc\u2028d\u0085e"), "a b [2Jc d e");
  assert.equal(printable("abcdef", 4), "abc…");
});

Deno.test("headers and answers come back as they were sent", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...TUNNEL_ROUTES),
      fc.string({ maxLength: 255, unit: "grapheme" }).filter((host) => host.length <= 255),
      fc.integer({ min: 1, max: 65_535 }),
      async (route, host, port) => {
        const header = { route, host, port };
        assert.deepEqual(await readHeader(pipeOf(encodeHeader(header))), header);
      },
    ),
  );
  await readAnswer(pipeOf(encodeAnswer()));
  await assert.rejects(
    readAnswer(pipeOf(encodeAnswer(new AwsocksError("destination-refused", "Refused")))),
    { code: "destination-refused", message: "Refused" },
  );
});

Deno.test("headers and answers that make no sense are refused", async () => {
  const headers = [
    { route: "direct", host: "a", port: 1 },
    { route: "proxy", host: "a", port: 0 },
    { route: "proxy", host: "x".repeat(256), port: 1 },
    { route: "proxy", port: 1 },
  ];
  for (const header of headers) {
    await assert.rejects(readHeader(pipeOf(encodeMessage(header, 9999))), refused);
  }
  for (const answer of [{}, { ok: false }, { ok: 1 }, { error: "text" }]) {
    await assert.rejects(readAnswer(pipeOf(encodeMessage(answer, 9999))), refused);
  }
  await assert.rejects(readHeader(pipeOf(new Uint8Array(0))), refused);
  await assert.rejects(readAnswer(pipeOf(new Uint8Array(0))), refused);
  const bytes = encodeHeader({ route: "proxy", host: "db.internal", port: 5432 });
  for (let length = 1; length < bytes.byteLength; length++) {
    await assert.rejects(readHeader(pipeOf(bytes.slice(0, length))), refused);
  }
});

Deno.test("checkVersion() looks at the major number alone", () => {
  const { major, minor } = PROTOCOL_VERSION;
  const speaks = (protocol: { major: number; minor: number }) => () =>
    checkVersion("guest", { protocol, program: "x" });
  speaks({ major, minor: minor + 7 })();
  assert.throws(speaks({ major: major + 1, minor }), { code: "tunnel-incompatible" });
  assert.throws(speaks({ major: major - 1, minor }), { code: "tunnel-incompatible" });
});
