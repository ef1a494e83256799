import assert from "node:assert/strict";
import fc from "fast-check";
import { BytePipe, isAwsocksError } from "../../lib/core/mod.ts";
import { encodeMessage, readMessage } from "../../lib/protocol/message.ts";

const LIMIT = 10_000;

/** Bytes that come in pieces and then end. */
function source(bytes: Uint8Array, pieces: readonly number[] = []): BytePipe {
  const pipe = new BytePipe();
  let at = 0;
  for (const length of pieces) {
    pipe.push(bytes.slice(at, at + length));
    at += length;
  }
  pipe.push(bytes.slice(at));
  pipe.end();
  return pipe;
}

const message = fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 3 }))
  // JSON has no −0.
  .map((value) => JSON.parse(JSON.stringify(value)) as Record<string, unknown>);

Deno.test("a message is four bytes of length, little-endian, and JSON", () => {
  assert.deepEqual(
    encodeMessage({ ok: true }, LIMIT),
    Uint8Array.of(11, 0, 0, 0, ...new TextEncoder().encode('{"ok":true}')),
  );
});

Deno.test("messages come back as they were sent, however they are cut, and nothing beyond them is read", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(message, { maxLength: 5 }),
      fc.array(fc.integer({ min: 1, max: 20 })),
      fc.uint8Array({ maxLength: 3 }),
      async (messages, pieces, rest) => {
        const bytes = Uint8Array.from([
          ...messages.flatMap((each) => [...encodeMessage(each, LIMIT)]),
          ...rest,
        ]);
        const pipe = source(bytes, pieces);
        for (const each of messages) assert.deepEqual(await readMessage(pipe, LIMIT), each);
        const left = new Uint8Array(10);
        const n = await pipe.read(left);
        assert.deepEqual([...left.subarray(0, n ?? 0)], [...rest].slice(0, n ?? 0));
      },
    ),
    { numRuns: 50 },
  );
});

Deno.test("the end of input between messages is an end, and inside one an error", async () => {
  const bytes = encodeMessage({ type: "hello", word: "grüße" }, LIMIT);
  assert.equal(await readMessage(source(new Uint8Array(0)), LIMIT), undefined);
  for (let length = 1; length < bytes.byteLength; length++) {
    await assert.rejects(readMessage(source(bytes.slice(0, length)), LIMIT), {
      code: "tunnel-protocol-error",
    });
  }
});

Deno.test("a message beyond the limit is refused at both ends, before it is read", async () => {
  assert.throws(() => encodeMessage({ text: "x".repeat(LIMIT) }, LIMIT), RangeError);
  const pipe = new BytePipe();
  pipe.push(Uint8Array.of(0xff, 0xff, 0xff, 0xff));
  await assert.rejects(readMessage(pipe, LIMIT), /4294967295 bytes are more than 10000/);
});

Deno.test("random bytes are a message or an error, nothing else", async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 64 }), async (bytes) => {
      // A length that fits makes the rest be looked at.
      if (bytes.byteLength > 4) bytes.set([bytes.byteLength - 4, 0, 0, 0]);
      const got = await readMessage(source(bytes), LIMIT).catch((error) => error);
      if (isAwsocksError(got, "tunnel-protocol-error")) return;
      assert.equal(typeof got, bytes.byteLength === 0 ? "undefined" : "object");
    }),
  );
});

Deno.test("what is JSON but no object, and what is no UTF-8, is refused", async () => {
  for (const text of ["null", "[]", "7", '"text"', ""]) {
    const body = new TextEncoder().encode(text);
    await assert.rejects(
      readMessage(source(Uint8Array.of(body.byteLength, 0, 0, 0, ...body)), LIMIT),
    );
  }
  await assert.rejects(
    readMessage(source(Uint8Array.of(2, 0, 0, 0, 0xc3, 0x28)), LIMIT),
    /not JSON/,
  );
});
