/**
 * The benchmarks, in the order of the table.
 *
 * @module
 */

import type { Bench } from "./harness.ts";
import { BACKLOG } from "./backlog.ts";
import { DIRECT } from "./direct.ts";
import { PORT } from "./port.ts";
import { PROCESS } from "./process.ts";
import { SESSIONS } from "./sessions.ts";
import { TUNNEL } from "./tunnel.ts";

/** Every benchmark. */
export const BENCHES: readonly Bench[] = [
  ...SESSIONS,
  BACKLOG,
  PORT,
  ...DIRECT,
  TUNNEL,
  ...PROCESS,
];
