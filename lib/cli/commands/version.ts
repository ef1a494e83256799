/**
 * `awsocks version`.
 *
 * @module
 */

import { ExitCode } from "../../core/errors.ts";
import type { App } from "../app.ts";
import { versionLine } from "../version.ts";

/** Prints the version. */
export function run(app: App): Promise<number> {
  app.terminal.stdout.write(`${versionLine()}\n`);
  return Promise.resolve(ExitCode.Ok);
}
