/**
 * How much memory this test's own isolate holds.
 *
 * @module
 */

/**
 * Bytes of objects and array buffers. Unlike the resident set, which tests that run beside this one in
 * the same process share, they belong to this isolate alone.
 */
export function memoryHeld(): number {
  const { heapUsed, external } = Deno.memoryUsage();
  return heapUsed + external;
}
