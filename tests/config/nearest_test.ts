import assert from "node:assert/strict";
import * as levenshtein from "fastest-levenshtein";
import fc from "fast-check";
import { distance, nearest, suggestion } from "../../lib/config/nearest.ts";

Deno.test("nearest() guesses slips, case and style, and nothing far-fetched", () => {
  const keys = ["instance-id", "ssh-user", "ssh-key", "region", "name", "lazy"];
  assert.equal(nearest("instanceId", keys), "instance-id");
  assert.equal(nearest("SSH_USER", keys), "ssh-user");
  assert.equal(nearest("regoin", keys), "region");
  assert.equal(nearest("lzy", keys), "lazy");
  assert.equal(nearest("bucket", keys), undefined);
  assert.equal(suggestion("nam", keys), '; did you mean "name"?');
  assert.equal(suggestion("bucket", keys), "");
});

Deno.test("distance() agrees with another implementation", () => {
  const word = fc.string({ unit: fc.constantFrom("a", "b", "-"), maxLength: 10 });
  fc.assert(fc.property(word, word, (a, b) => {
    assert.equal(distance(a, b), levenshtein.distance(a, b));
  }));
});
