/**
 * Debian's Chromium without a window.
 *
 * @module
 */

import { type Ran, run } from "./external.ts";

const FLAGS = [
  "--headless",
  "--no-sandbox", // it refuses to run as root with it
  "--disable-gpu",
  "--disable-quic",
  "--disable-dev-shm-usage",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** Runs it once, with a profile and home directory inside `folder`. */
export async function chromium(folder: string, args: readonly string[]): Promise<Ran> {
  const ran = await runOnce(folder, args);
  // Interfaces that come and go elsewhere on the machine make it drop what it loads.
  return ran.stderr.includes("ERR_NETWORK_CHANGED") ? await runOnce(folder, args) : ran;
}

async function runOnce(folder: string, args: readonly string[]): Promise<Ran> {
  const home = await Deno.makeTempDir({ dir: folder, prefix: "home-" });
  const env = { HOME: home, XDG_CONFIG_HOME: home, XDG_CACHE_HOME: home };
  return await run("chromium", [...FLAGS, `--user-data-dir=${home}/data`, ...args], {
    env,
    limit: 120_000,
  });
}

const REMOVE_TRIES = 20;
const REMOVE_PAUSE_MS = 100;

/** Lends a folder for {@linkcode chromium}. */
export async function withBrowserFolder(work: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "awsocks-chromium-" });
  try {
    await work(folder);
  } finally {
    await removePatiently(folder);
  }
}

/** Its helpers may still write for a moment after it has ended. */
async function removePatiently(folder: string): Promise<void> {
  for (let tries = REMOVE_TRIES;; tries--) {
    try {
      return await Deno.remove(folder, { recursive: true });
    } catch (error) {
      if (tries === 0) throw error;
      await new Promise((resolve) => setTimeout(resolve, REMOVE_PAUSE_MS));
    }
  }
}
