/**
 * Random numbers at boot: keys and TLS must not be made of what a fresh machine happens to have.
 *
 * @module
 */

import { type Clock, getLog } from "../core/mod.ts";

const log = getLog("guest");

/** Bits with which Linux takes its generator for seeded. */
const ENOUGH_BITS = 128;

/** Milliseconds to wait, and between two looks. */
const LIMIT_MS = 5000;
const LOOK_MS = 100;

const AVAILABLE = "/proc/sys/kernel/random/entropy_avail";

/**
 * Waits until the kernel's generator is seeded, from virtio-rng or the processor, for a bounded time.
 * @returns false when it is not, which is logged
 */
export async function waitForEntropy(
  clock: Clock,
  { read = () => Deno.readTextFile(AVAILABLE) }: { read?: () => Promise<string> } = {},
): Promise<boolean> {
  const end = clock.monotonic() + LIMIT_MS;
  for (;;) {
    const bits = Number(await read().catch(() => "0"));
    if (bits >= ENOUGH_BITS) return true;
    if (clock.monotonic() >= end) {
      log.warn("The kernel has little entropy: {bits} bits; has the machine a virtio-rng?", {
        bits,
      });
      return false;
    }
    await clock.sleep(LOOK_MS);
  }
}
