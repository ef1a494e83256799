/**
 * Peers that do not keep to the protocol, or do so in ways nobody thought of.
 *
 * @module
 */

import assert from "node:assert/strict";
import fc from "fast-check";
import { connPair, isAwsocksError, writeAll } from "../../lib/core/mod.ts";
import { encodeFrame, FrameType, HostSession, runVsockClient } from "../../lib/exec/mod.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { FakeExecutor } from "./support.ts";

const MAY_END_WITH = ["exec-closed", "exec-protocol-error"] as const;

/** A piece of what a peer sends: mostly frames, sometimes anything. */
const pieces = fc.array(
  fc.oneof(
    {
      weight: 9,
      arbitrary: fc.tuple(
        fc.constantFrom(...Object.values(FrameType)),
        fc.uint8Array({ maxLength: 40 }),
      ).map(([type, data]) => encodeFrame({ type, data })),
    },
    {
      weight: 6,
      arbitrary: fc.tuple(
        fc.constantFrom(FrameType.Command, FrameType.Stdin),
        fc.uint8Array({ maxLength: 40 }),
      ).map(([type, data]) => encodeFrame({ type, data })),
    },
    { weight: 1, arbitrary: fc.uint8Array({ minLength: 1, maxLength: 20 }) },
  ),
  { maxLength: 30 },
);

Deno.test("runVsockClient() comes to an end with whatever a host sends", async () => {
  let frames = 0;
  const work = async (given: Uint8Array[], persistent: boolean, endAtOnce: boolean) => {
    frames += given.length;
    const [near, far] = connPair();
    const clock = new FakeClock();
    const executor = new FakeExecutor();
    executor.prepare = (command) => {
      if (endAtOnce) command.exit(0);
    };
    const result = runVsockClient(near, { persistent, executor, clock });
    const ended = result.then(() => "well", (error) => {
      assert.ok(isAwsocksError(error, ...MAY_END_WITH), String(error));
      return error.code;
    });
    const sending = (async () => {
      for (const piece of given) await writeAll(far, piece);
    })();
    await sending.catch(() => {}); // the client may have hung up
    far.close();
    await clock.advance(10_000);
    await ended;
    assert.equal(clock.pending, 0);
    assert.ok(executor.started.every(({ released, killed }) => released || killed));
    assert.ok(persistent || executor.started.length <= 1);
  };
  await fc.assert(fc.asyncProperty(pieces, fc.boolean(), fc.boolean(), work), { numRuns: 300 });
  assert.ok(frames > 1000);
});

Deno.test("HostSession comes to an end with whatever a client sends", async () => {
  const work = async (given: Uint8Array[]) => {
    const [near, far] = connPair();
    const host = new HostSession(near);
    const sending = (async () => {
      for (const piece of given) await writeAll(far, piece);
      await far.closeWrite();
    })();
    sending.catch(() => {}); // the host may have hung up
    let status: number | undefined;
    try {
      const { events } = await host.run("true");
      for await (const event of events) if (event.type === "exit") status = event.status;
      assert.ok(Number.isInteger(status));
    } catch (error) {
      assert.ok(isAwsocksError(error, ...MAY_END_WITH), String(error));
    }
    host.close();
    far.close();
    await sending.catch(() => {});
  };
  await fc.assert(fc.asyncProperty(pieces, work), { numRuns: 1000 });
});

Deno.test("200,000 small frames are taken without their number being stored", async () => {
  const [near, far] = connPair();
  const executor = new FakeExecutor();
  executor.prepare = (command) => command.exit(0);
  const clock = new FakeClock();
  const result = runVsockClient(near, { persistent: true, executor, clock });
  const one = encodeFrame({ type: FrameType.Stdin, data: new Uint8Array(0) });
  const many = new Uint8Array(one.byteLength * 20_000);
  for (let at = 0; at < many.byteLength; at += one.byteLength) many.set(one, at);
  for (let i = 0; i < 10; i++) await writeAll(far, many);
  await writeAll(far, encodeFrame({ type: FrameType.Command, data: new Uint8Array(0) }));
  const answer = new Uint8Array(100);
  assert.equal(await far.read(answer), 7); // the exit frame
  far.close();
  assert.deepEqual(await result, { commands: 1, status: 0 });
});
