/**
 * Kernel modules that the image lists in the order in which to load them.
 *
 * @module
 */

import { describeError, getLog } from "../core/mod.ts";
import type { Kernel } from "./kernel.ts";

const log = getLog("guest");

/** One name a line; each module is a file `NAME.ko` in {@linkcode MODULES_FOLDER}. */
export const MODULES_LIST = "/etc/awsocks/modules";

/** Where the image has its modules. */
export const MODULES_FOLDER = "/lib/modules";

/**
 * Loads the listed modules that are not loaded yet. Without a list there is nothing to do: the kernel may
 * have all of it built in. Failures are logged: a module for a device that is not there often fails.
 */
export async function loadModules(
  kernel: Kernel,
  { list = MODULES_LIST, folder = MODULES_FOLDER } = {},
): Promise<void> {
  let text: string;
  try {
    text = await Deno.readTextFile(list);
  } catch {
    return log.debug("No modules are listed in {list}", { list });
  }
  for (const name of parseModules(text)) {
    try {
      if (kernel.loadModule(`${folder}/${name}.ko`)) log.debug("Module {name}", { name });
    } catch (error) {
      log.warn("Module {name} cannot be loaded: {reason}", { name, reason: describeError(error) });
    }
  }
}

/** Names in a list; `#` begins a comment. */
export function parseModules(text: string): string[] {
  return text.split("\n").map((line) => line.replace(/#.*/, "").trim()).filter(Boolean);
}
