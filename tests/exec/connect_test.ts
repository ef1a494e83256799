import assert from "node:assert/strict";
import { AwsocksError, connPair, isAwsocksError } from "../../lib/core/mod.ts";
import { connectPatiently } from "../../lib/exec/mod.ts";
import { FakeClock } from "../support/fake_clock.ts";

const ADDRESS = { kind: "vsock", cid: 2, port: 1024 } as const;

function refusal(): AwsocksError {
  return new AwsocksError("vsock-connect-failed", "Could not connect: nothing listens there");
}

Deno.test("connectPatiently() tries once unless it is told to wait", async () => {
  let attempts = 0;
  const connect = () => {
    attempts++;
    return Promise.reject(refusal());
  };
  await assert.rejects(
    connectPatiently(ADDRESS, { connect }),
    (error) => isAwsocksError(error, "vsock-connect-failed"),
  );
  assert.equal(attempts, 1);
});

Deno.test("connectPatiently() tries until somebody is there", async () => {
  const clock = new FakeClock();
  const [near, far] = connPair();
  let attempts = 0;
  const connecting = connectPatiently(ADDRESS, {
    clock,
    wait: Infinity,
    connect: () => ++attempts < 20 ? Promise.reject(refusal()) : Promise.resolve(near),
  });
  await clock.advance(1000);
  assert.ok(attempts >= 3 && attempts < 20, `${attempts}`);
  await clock.advance(60_000);
  assert.equal(await connecting, near);
  assert.equal(attempts, 20);
  far.close();
});

Deno.test("connectPatiently() gives up with the last failure when the time is over", async () => {
  const clock = new FakeClock();
  let attempts = 0;
  const connecting = connectPatiently(ADDRESS, {
    clock,
    wait: 10_000,
    connect: () => Promise.reject(new AwsocksError("timeout", `attempt ${++attempts}`)),
  });
  connecting.catch(() => {});
  await clock.advance(10_000);
  await assert.rejects(connecting, { message: `attempt ${attempts}` });
  assert.ok(attempts >= 6, `${attempts}`);
  assert.equal(clock.pending, 0);
});

Deno.test("connectPatiently() does not repeat what cannot become better", async () => {
  let attempts = 0;
  const connecting = connectPatiently(ADDRESS, {
    wait: Infinity,
    connect: () => {
      attempts++;
      return Promise.reject(new AwsocksError("unsupported-platform", "no AF_VSOCK here"));
    },
  });
  await assert.rejects(connecting, /no AF_VSOCK/);
  assert.equal(attempts, 1);
});

Deno.test("connectPatiently() ends with its signal", async () => {
  const clock = new FakeClock();
  const controller = new AbortController();
  const connecting = connectPatiently(ADDRESS, {
    clock,
    wait: Infinity,
    signal: controller.signal,
    connect: () => Promise.reject(refusal()),
  });
  connecting.catch(() => {});
  await clock.advance(500);
  controller.abort(new Error("enough"));
  await assert.rejects(connecting, /enough/);
  assert.equal(clock.pending, 0);
});
