/**
 * `awsocks help [COMMAND]`, and what `--help` shows.
 *
 * @module
 */

import { ExitCode } from "../../core/errors.ts";
import type { App } from "../app.ts";
import { helpText } from "../help.ts";

/** Prints the help of a topic. */
export function run(app: App): Promise<number> {
  const { stdout } = app.terminal;
  const { columns } = stdout.size();
  stdout.write(helpText(app.command.arguments.join(" "), {
    // Text for a file or a pager keeps its full width.
    ...(stdout.isTerminal ? { columns } : {}),
    color: app.out.color,
  }));
  return Promise.resolve(ExitCode.Ok);
}
