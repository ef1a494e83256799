/**
 * `awsocks help [COMMAND]`, and what `--help` shows.
 *
 * @module
 */

import { ExitCode } from "../../core/errors.ts";
import type { App } from "../app.ts";
import { helpText } from "../help.ts";

/** Prints the help of a topic. */
export async function run(app: App): Promise<number> {
  const { stdout } = app.terminal;
  const topic = app.command.arguments.join(" ");
  stdout.write(helpText(topic, {
    // Text for a file or a pager keeps its full width.
    ...(stdout.isTerminal ? { columns: stdout.size().columns } : {}),
    color: app.out.color,
    ...(topic === "sandbox" ? { switches: await sandboxSwitches() } : {}),
  }));
  return ExitCode.Ok;
}

async function sandboxSwitches() {
  const { SANDBOX_FLAGS } = await import("../../sandbox/flags.ts");
  return SANDBOX_FLAGS;
}
