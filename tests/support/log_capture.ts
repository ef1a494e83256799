/**
 * The log of a test as a list of records.
 *
 * @module
 */

import { configureLogging } from "../../lib/core/mod.ts";

/** A line of the log. */
export interface Line {
  readonly level: string;
  readonly message: string;
  readonly [field: string]: unknown;
}

/** Collects the lines that `work` makes the proxy log. */
export async function captureLog(work: (lines: readonly Line[]) => Promise<void>): Promise<void> {
  const lines: Line[] = [];
  const write = (line: string) => void lines.push(JSON.parse(line) as Line);
  await configureLogging({ level: "debug", format: "json", write });
  try {
    await work(lines);
  } finally {
    await configureLogging({ level: "error", write: () => {} });
  }
}
