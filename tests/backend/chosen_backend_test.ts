import assert from "node:assert/strict";
import type { Backend } from "../../lib/backend/mod.ts";
import { ChosenBackend } from "../../lib/backend/chosen_backend.ts";
import { AwsocksError, connPair, isAwsocksError } from "../../lib/core/mod.ts";
import { settle } from "../support/fake_clock.ts";

const TARGET = { host: "db.internal", port: 5432 };

function fakeBackend() {
  const calls: string[] = [];
  const backend: Backend = {
    name: "fake",
    state: "active",
    start: () => Promise.resolve(void calls.push("start")),
    dial: () => {
      calls.push("dial");
      return Promise.resolve(connPair()[0]);
    },
    onCredentialUpdate: () => void calls.push("credentials"),
    close: () => Promise.resolve(void calls.push("close")),
  };
  return { backend, calls };
}

Deno.test("a backend is chosen once, by the first use", async () => {
  const { backend, calls } = fakeBackend();
  let choices = 0;
  let changes = 0;
  const gate = Promise.withResolvers<Backend>();
  const chosen = new ChosenBackend(() => {
    choices++;
    return gate.promise;
  }, () => changes++);
  assert.deepEqual([chosen.name, chosen.state], ["auto", "idle"]);
  chosen.onCredentialUpdate({ accessKeyId: "x", secretAccessKey: "y" });
  const uses = [chosen.start(), chosen.dial(TARGET)];
  assert.equal(chosen.state, "initializing");
  gate.resolve(backend);
  await Promise.all(uses);
  await chosen.dial(TARGET);
  assert.equal(choices, 1);
  assert.deepEqual([chosen.name, chosen.state], ["fake", "active"]);
  chosen.onCredentialUpdate({ accessKeyId: "x", secretAccessKey: "y" });
  await chosen.close();
  await chosen.close();
  assert.deepEqual(calls.toSorted(), ["close", "credentials", "dial", "dial", "start"]);
  assert.equal(chosen.state, "closed");
  assert.equal(changes, 2);
});

Deno.test("a choice that fails is made again by the next use", async () => {
  const { backend } = fakeBackend();
  let choices = 0;
  const chosen = new ChosenBackend(() =>
    ++choices === 1 ? Promise.reject(new Error("no")) : Promise.resolve(backend)
  );
  await assert.rejects(chosen.dial(TARGET), /no/);
  assert.equal(chosen.state, "idle");
  await chosen.dial(TARGET);
  await chosen.close();
});

Deno.test("a use that gives up leaves the choice to the others, and closing ends it", async () => {
  const chosen = new ChosenBackend(({ signal }) =>
    new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)))
  );
  const abort = new AbortController();
  const impatient = chosen.dial(TARGET, { signal: abort.signal });
  const patient = chosen.dial(TARGET);
  abort.abort(new AwsocksError("aborted", "enough"));
  await assert.rejects(impatient, (error) => isAwsocksError(error, "aborted"));
  await settle();
  assert.equal(chosen.state, "initializing");
  const outcome = patient.catch((error) => error);
  await chosen.close();
  assert.ok(isAwsocksError(await outcome, "backend-closed"));
  await assert.rejects(chosen.start(), (error) => isAwsocksError(error, "backend-closed"));
});
