/**
 * Many short requests by curl: a port forwarding session for each host beside SSH. Sessions are up
 * before the clock starts, as they are for whoever has used the proxy a moment ago.
 *
 * @module
 */

import assert from "node:assert/strict";
import { curl, need } from "../support/external.ts";
import { type Bench, openSides } from "./harness.ts";
import { type Proxy, SandboxProgram } from "./programs.ts";

const HOSTS = ["hello.sandbox.internal", "www.example.com", "10.0.1.20"];
const REQUESTS = 50;

/** Milliseconds of one curl that asks for so many pages at a time, over as many connections. */
async function pages({ address: { host, port } }: Proxy, count = REQUESTS): Promise<number> {
  const urls = Array.from({ length: count }, (_, i) => `http://${HOSTS[i % HOSTS.length]}/?${i}`);
  const start = performance.now();
  const { code, stdout, stderr } = await curl([
    ...["--socks5-hostname", `${host}:${port}`],
    ...["--parallel", "--parallel-immediate", "--parallel-max", String(count)],
    ...["--write-out", "\\n%{http_code} %{num_connects} %{size_download}\\n"],
    ...urls,
  ]);
  const time = performance.now() - start;
  assert.equal(code, 0, stderr); // also of a page that is not as long as its head says
  // The pages may stand in each other, in pieces.
  const own = stdout.match(/^200 1 [1-9]\d+$/gm)?.length;
  assert.equal(own, count, "requests with a connection of their own");
  return time;
}

/** The port backend beside the SSH backend. */
export const PORT: Bench = {
  name: `${REQUESTS} requests by curl to ${HOSTS.length} hosts, port backend`,
  unit: "ms",
  baseline: "SSH backend",
  rounds: 7,
  missing: () => Promise.resolve(need("curl")),
  open: () =>
    openSides(async (stack) => {
      const sandbox = stack.use(await SandboxProgram.open("pace=on"));
      const port = stack.use(await sandbox.proxy("--backend", "port"));
      const ssh = stack.use(await sandbox.proxy("--backend", "ssh"));
      for (const proxy of [port, ssh]) await pages(proxy);
      return { figure: () => pages(port), baseline: () => pages(ssh) };
    }),
};
