/**
 * What the program costs: memory and time to start.
 *
 * @module
 */

import { runProgram } from "../support/program.ts";
import { type Bench, openSides } from "./harness.ts";
import { connect, ECHO, echoTimes } from "./load.ts";
import { directProxy, SandboxProgram } from "./programs.ts";

const IDLE = 500;

/** Resident memory in MB. */
async function resident(pid: number): Promise<number> {
  const status = await Deno.readTextFile(`/proc/${pid}/status`);
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)![1]) / 1000;
}

const memory: Bench = {
  name: `memory of ${IDLE} idle connections`,
  unit: "MB",
  baseline: "the limit of 250 MB",
  goal: { atMost: 1 },
  rounds: 1,
  missing: () =>
    Promise.resolve(Deno.build.os === "linux" ? "" : "needs Linux, which tells it in /proc"),
  open: () =>
    openSides(async (stack) => {
      const sandbox = stack.use(await SandboxProgram.open("pace=on"));
      const proxy = stack.use(await sandbox.proxy());
      const before = await resident(proxy.pid);
      return {
        figure: async () => {
          const conns = [];
          for (let i = 0; i < IDLE; i++) conns.push(await connect(proxy.address, ECHO));
          for (const conn of conns) await echoTimes(conn, 1, 0);
          await new Promise((resolve) => setTimeout(resolve, 3000));
          const figure = await resident(proxy.pid);
          for (const conn of conns) conn.close();
          return figure;
        },
        baseline: () => Promise.resolve(250),
        note: () => `${before.toFixed(0)} MB before the first`,
      };
    }),
};

async function timed(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

const startup: Bench = {
  name: "start until it listens",
  unit: "ms",
  baseline: "an empty program from start to end",
  rounds: 9,
  open: async () => {
    const script = await Deno.makeTempFile({ suffix: ".ts" });
    await runProgram(["version"]);
    return {
      figure: async () => {
        const start = performance.now();
        await using _proxy = await directProxy();
        return performance.now() - start;
      },
      baseline: () =>
        timed(() => new Deno.Command(Deno.execPath(), { args: ["run", "-A", script] }).output()),
      [Symbol.asyncDispose]: () => Deno.remove(script),
    };
  },
};

/** The benchmarks of this file. */
export const PROCESS: readonly Bench[] = [memory, startup];
