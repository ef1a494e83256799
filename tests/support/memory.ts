/**
 * How much memory this test's own isolate holds, and how many descriptors its process.
 *
 * @module
 */

import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/** A full collection of garbage, so that what is still there is held by somebody. */
export function collectGarbage(): void {
  setFlagsFromString("--expose-gc");
  const gc = runInNewContext("gc") as () => void;
  for (let i = 0; i < 3; i++) gc();
}

/** Descriptors of this process, whoever in it has them. Linux only. */
export function openDescriptors(): number {
  return [...Deno.readDirSync("/proc/self/fd")].length;
}

/**
 * Bytes of objects and array buffers. Unlike the resident set, which tests that run beside this one in
 * the same process share, they belong to this isolate alone.
 */
export function memoryHeld(): number {
  const { heapUsed, external } = Deno.memoryUsage();
  return heapUsed + external;
}
