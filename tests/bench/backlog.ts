/**
 * How much of an upload is under way without an acknowledgement: never more than the window, or a
 * gateway that is behind would be buried.
 *
 * @module
 */

import { DEFAULT_WINDOW } from "../../lib/ssm/outbox.ts";
import { type Bench, openSides } from "./harness.ts";
import { put } from "./load.ts";
import { SandboxProgram } from "./programs.ts";

const BYTES = 8_000_000;
/** The session's last line says how much there was at most. */
const PROXY = ["--max-sessions", "1", "--log-level", "ssm=debug"];

/** The most unacknowledged kilobytes of any session, by the log of a proxy that has ended. */
export function mostUnacknowledged(log: string): number {
  const found = [...log.matchAll(/ maxUnacknowledged=(\d+)/g)].map(([, bytes]) => Number(bytes));
  if (found.length === 0) throw new Error("The log of the proxy tells of no session's end");
  return Math.max(...found) / 1000;
}

/** The largest backlog of an upload beside the bound of the window. */
export const BACKLOG: Bench = {
  name: "unacknowledged bytes, 20 ms away",
  unit: "kB",
  baseline: "the largest window",
  goal: { atMost: 1 },
  rounds: 1,
  open: () =>
    openSides(async (stack) => {
      const sandbox = stack.use(await SandboxProgram.open("pace=on,latency=20ms"));
      return {
        figure: async () => {
          await using proxy = await sandbox.proxy(...PROXY);
          await put(proxy.address, BYTES);
          return mostUnacknowledged(await proxy.stop());
        },
        baseline: () => Promise.resolve(DEFAULT_WINDOW.max / 1000),
      };
    }),
};
