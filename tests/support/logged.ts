/**
 * What is logged while something happens.
 *
 * @module
 */

import { configureLogging } from "../../lib/core/mod.ts";

/** Lines that are logged meanwhile, of every room and from `debug` on. */
export async function logged(
  work: (lines: readonly string[]) => Promise<unknown>,
): Promise<string[]> {
  const lines: string[] = [];
  await configureLogging({ level: "debug", write: (line) => void lines.push(line) });
  try {
    await work(lines);
  } finally {
    await configureLogging({ level: "error", write: () => {} });
  }
  return lines;
}
