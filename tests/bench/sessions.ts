/**
 * What Session Manager's own pace allows, and what is made of it: the sandbox's agent sleeps a
 * millisecond after each message, as the real one does.
 *
 * @module
 */

import type { Conn } from "../../lib/core/mod.ts";
import { type Bench, openSides, quantile, type Sides } from "./harness.ts";
import { connect, ECHO, echoTimes, get, put, rate, SITE } from "./load.ts";
import { type Proxy, SandboxProgram } from "./programs.ts";

const KB = 1000;
const PARALLEL = 8;
/** Bytes of each of several transfers. */
const SHARE = 600 * KB;

const down = ({ address }: Proxy, size: number) =>
  rate(PARALLEL, size, (seed) => get(address, `/bytes?size=${size}&seed=${seed}`));
const up = ({ address }: Proxy, size: number) => rate(PARALLEL, size, () => put(address, size));

/** Proxies with these numbers of sessions, all of which are up. */
function withSessions(
  numbers: readonly number[],
  switches: string,
  use: (...proxies: readonly Proxy[]) => Omit<Sides, typeof Symbol.asyncDispose>,
): Promise<Sides> {
  return openSides(async (stack) => {
    const sandbox = stack.use(await SandboxProgram.open(switches));
    const proxies: Proxy[] = [];
    for (const sessions of numbers) {
      proxies.push(stack.use(await sandbox.proxy("--max-sessions", String(sessions))));
    }
    for (const { address } of proxies) {
      const conns = await Promise.all(
        Array.from({ length: PARALLEL }, () => connect(address, ECHO)),
      );
      for (const conn of conns) await echoTimes(conn, 1, 0);
      for (const conn of conns) conn.close();
    }
    return use(...proxies);
  });
}

function parallel(
  sessions: number,
  direction: "downloads" | "uploads",
  atLeast: number,
  latency = 0,
): Bench {
  const work = direction === "downloads" ? down : up;
  // Nothing paces uploads: without a distance, many of them are needed to tell them from noise.
  const [shares, rounds] = direction === "downloads" ? [1, 3] : latency > 0 ? [5, 5] : [3, 31];
  const size = shares * SHARE;
  const away = latency > 0 ? `, ${latency} ms away` : "";
  return {
    name: `8 ${direction}, ${sessions} sessions${away}`,
    unit: "MB/s",
    baseline: "1 session",
    goal: { atLeast },
    rounds,
    open: () =>
      withSessions([sessions, 1], `pace=on,latency=${latency}ms`, (many, one) => ({
        figure: () => work(many!, size),
        baseline: () => work(one!, size),
      })),
  };
}

/** One transfer over one session beside a download of random bytes, which the agent paces. */
function besidePaced(
  row: Pick<Bench, "name" | "baseline">,
  atLeast: number,
  switches: string,
  size: number,
  transfer: (proxy: Proxy, size: number) => Promise<unknown>,
): Bench {
  return {
    ...row,
    unit: "MB/s",
    goal: { atLeast },
    rounds: 3,
    open: () =>
      withSessions([1], switches, (proxy) => ({
        figure: () => rate(1, size, () => transfer(proxy!, size)),
        baseline: () =>
          rate(1, 1500 * KB, () => get(proxy!.address, `/bytes?size=${1500 * KB}&seed=1`)),
      })),
  };
}

const upload = (name: string, switches: string) =>
  besidePaced(
    { name, baseline: "download, which the agent paces" },
    5,
    switches,
    12_000 * KB,
    ({ address }, size) => put(address, size),
  );

const text = besidePaced(
  { name: "download of a log", baseline: "random bytes" },
  3,
  "pace=on",
  6000 * KB,
  ({ address }, size) => get(address, `/log?size=${size}&seed=1`),
);

/** Milliseconds below which 95 of 100 answers of a new connection come. */
async function p95(proxy: Proxy): Promise<number> {
  const conn = await connect(proxy.address, ECHO);
  try {
    return quantile(await echoTimes(conn, 150), 0.95);
  } finally {
    conn.close();
  }
}

/** Downloads that go on until they are closed. */
async function endless(proxy: Proxy, count: number): Promise<Conn[]> {
  const conns = await Promise.all(
    Array.from({ length: count }, () => connect(proxy.address, SITE)),
  );
  for (const conn of conns) {
    await conn.write(new TextEncoder().encode("GET /bytes?size=9999999999 HTTP/1.0\r\n\r\n"));
    const buffer = new Uint8Array(64 * 1024);
    void (async () => {
      try {
        while (await conn.read(buffer) !== null);
      } catch {
        // Closed at the end.
      }
    })();
  }
  return conns;
}

const fairness: Bench = {
  name: "p95 of an echo beside 4 downloads",
  unit: "ms",
  baseline: "idle",
  goal: { atMost: 4 },
  rounds: 3,
  open: () =>
    withSessions([4], "pace=on", (proxy) => ({
      figure: async () => {
        const conns = await endless(proxy!, 4);
        await new Promise((resolve) => setTimeout(resolve, 1500));
        const figure = await p95(proxy!);
        for (const conn of conns) conn.close();
        await new Promise((resolve) => setTimeout(resolve, 2500)); // what is under way
        return figure;
      },
      baseline: () => p95(proxy!),
    })),
};

/** The benchmarks of this file. */
export const SESSIONS: readonly Bench[] = [
  parallel(4, "downloads", 3.5),
  parallel(8, "downloads", 6),
  parallel(4, "uploads", 1),
  parallel(4, "uploads", 1, 20),
  upload("upload, 1 session", "pace=on"),
  upload("upload, 1 session, 20 ms away", "pace=on,latency=20ms"),
  text,
  fairness,
];
