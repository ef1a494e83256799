/** The bytes that the documentation shows are those of the code. */

import assert from "node:assert/strict";
import {
  DISRUPTION,
  GUEST_CALLS,
  HOST_CALLS,
  LOG,
  PROGRESS,
  STATE,
  TIME,
} from "../../lib/protocol/calls.ts";
import { encodeMessage } from "../../lib/protocol/message.ts";
import { toHex } from "../smux/bytes.ts";

const text = await Deno.readTextFile(new URL("../../docs/protocol.md", import.meta.url));

Deno.test("the vectors of the documentation are right", () => {
  const vectors = [...text.matchAll(/^(\{.*\})\n([0-9a-f]{8,})$/gm)];
  assert.equal(vectors.length, 2);
  for (const [, json, hex] of vectors) {
    assert.equal(toHex(encodeMessage(JSON.parse(json!), 9999)), hex);
  }
});

Deno.test("the documentation has every call with its limit, and every notice", () => {
  for (const { name, limit } of [...Object.values(GUEST_CALLS), ...Object.values(HOST_CALLS)]) {
    assert.match(text, new RegExp(`^\\| \`${name}\` .*\\b${limit / 1000} s \\|$`, "m"), name);
  }
  for (const { name } of [TIME, DISRUPTION, STATE, LOG, PROGRESS]) {
    assert.match(text, new RegExp(`^\\| \`${name}\` `, "m"), name);
  }
});
