/**
 * The benchmarks, in the order of the table.
 *
 * @module
 */

import type { Bench } from "./harness.ts";
import { DIRECT } from "./direct.ts";
import { PROCESS } from "./process.ts";
import { SESSIONS } from "./sessions.ts";
import { TUNNEL } from "./tunnel.ts";

/** Every benchmark. */
export const BENCHES: readonly Bench[] = [...SESSIONS, ...DIRECT, TUNNEL, ...PROCESS];
