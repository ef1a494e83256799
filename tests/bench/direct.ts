/**
 * The route `direct` beside other SOCKS servers: nothing of AWS in it.
 *
 * @module
 */

import { type Bench, openSides, type Sides } from "./harness.ts";
import { connectionsPerSecond, flow } from "./load.ts";
import {
  dante,
  directProxy,
  microsocks,
  needDante,
  needMicrosocks,
  type Proxy,
  startServer,
} from "./programs.ts";

type Server = Awaited<ReturnType<typeof startServer>>;

/** Ours and another one, with a destination. */
function beside(
  other: () => Promise<Proxy>,
  use: (proxy: Proxy, server: Server) => Promise<number>,
  note?: (server: Server) => Promise<string>,
): Promise<Sides> {
  return openSides(async (stack) => {
    const server = stack.use(await startServer());
    const ours = stack.use(await directProxy());
    const theirs = stack.use(await other());
    const remark = await note?.(server);
    return {
      figure: () => use(ours, server),
      baseline: () => use(theirs, server),
      ...(remark && { note: () => remark }),
    };
  });
}

const FLOW_MS = 1500;
/** Throughput beside another proxy. */
function bulk(
  row: Pick<Bench, "name" | "baseline" | "missing">,
  other: () => Promise<Proxy>,
  atLeast: number,
): Bench {
  return {
    ...row,
    unit: "MB/s",
    goal: { atLeast },
    rounds: 5,
    open: () => beside(other, ({ address }, { source }) => flow(address, source, 4, FLOW_MS)),
  };
}

const CONNECTIONS = { parallel: 50, total: 4000 };

/** The benchmarks of this file. */
export const DIRECT: readonly Bench[] = [
  bulk(
    { name: "direct, 4 downloads", baseline: "microsocks", missing: needMicrosocks },
    microsocks,
    2,
  ),
  bulk(
    { name: "direct, 4 downloads beside Dante's", baseline: "Dante", missing: needDante },
    dante,
    1,
  ),
  {
    name: "direct, connections of 50 clients",
    unit: "a second",
    baseline: "microsocks",
    goal: { atLeast: 0.9 },
    rounds: 15,
    missing: needMicrosocks,
    open: () =>
      beside(
        microsocks,
        ({ address }, { echo }) => connectionsPerSecond(address, echo, CONNECTIONS),
        async ({ echo }) => {
          const alone = await connectionsPerSecond(undefined, echo, CONNECTIONS);
          return `without a proxy the clients make ${alone.toFixed(0)} a second`;
        },
      ),
  },
];
