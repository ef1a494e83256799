/**
 * How much of an upload is under way without an acknowledgement: never more than the window, or a
 * gateway that is behind would be buried.
 *
 * @module
 */

import { type Bench, openSides } from "./harness.ts";
import { put } from "./load.ts";
import { SandboxProgram } from "./programs.ts";

const BYTES = 8_000_000;
/** Milliseconds one way. */
const DISTANCES = [0, 20];
/** The session's last line says how much there was at most. */
const PROXY = ["--max-sessions", "1", "--log-level", "ssm=debug"];

/** The largest share of the window that any session had under way, in percent, by the log of a proxy. */
export function largestShare(log: string): number {
  const found = [...log.matchAll(/ maxWindowShare=([\d.e-]+)/g)].map(([, share]) => Number(share));
  if (found.length === 0) throw new Error("The log of the proxy tells of no session's end");
  return Math.max(...found) * 100;
}

/** The largest backlog of uploads beside the window as it was at that moment. */
export const BACKLOG: Bench = {
  name: "unacknowledged bytes of uploads, 0 and 20 ms away",
  unit: "%",
  baseline: "the window at that moment",
  goal: { atMost: 1 },
  rounds: 1,
  open: () =>
    openSides(async (stack) => {
      const sandboxes: SandboxProgram[] = [];
      for (const ms of DISTANCES) {
        sandboxes.push(stack.use(await SandboxProgram.open(`pace=on,latency=${ms}ms`)));
      }
      return {
        figure: async () => {
          let largest = 0;
          for (const sandbox of sandboxes) {
            await using proxy = await sandbox.proxy(...PROXY);
            await put(proxy.address, BYTES);
            largest = Math.max(largest, largestShare(await proxy.stop()));
          }
          return largest;
        },
        baseline: () => Promise.resolve(100),
      };
    }),
};
