/**
 * What a command is given: the terminal, the time, the person to ask, and the end of the program.
 *
 * @module
 */

import { type Clock, systemClock } from "../core/clock.ts";
import { configureLogging, getLog } from "../core/log.ts";
import { Lifetime } from "./lifetime.ts";
import type { Command } from "./parse.ts";
import { Prompter } from "./prompt.ts";
import { Screen } from "./screen.ts";
import { createStyle, type Style, wantsColor } from "./style.ts";
import type { Terminal } from "./terminal.ts";

/** Everything a command uses. */
export interface App {
  readonly command: Command;
  readonly terminal: Terminal;
  readonly clock: Clock;
  readonly screen: Screen;
  readonly prompter: Prompter;
  readonly lifetime: Lifetime;
  /** Marks for standard output and for standard error. */
  readonly out: { readonly color: boolean; readonly style: Style };
  readonly err: { readonly color: boolean; readonly style: Style };
  /** Stack traces are wanted. */
  readonly debug: boolean;
  /** What has to be closed before the end, in the order in which it was opened. */
  readonly closers: (() => Promise<void> | void)[];
}

/** Options of {@linkcode createApp}. */
export interface AppOptions {
  readonly terminal: Terminal;
  /** Ends the process at once. */
  readonly exit: (code: number) => void;
  readonly clock?: Clock;
}

/** Puts together what a command uses. */
export function createApp(command: Command, options: AppOptions): App {
  const { terminal, clock = systemClock } = options;
  const flag = command.flags["color"] as boolean | undefined;
  const marks = (isTerminal: boolean) => {
    const color = wantsColor({ flag, isTerminal, env: terminal.env });
    return { color, style: createStyle(color) };
  };
  const err = marks(terminal.stderr.isTerminal);
  const screen = new Screen(terminal.stderr);
  const lifetime = new Lifetime({
    clock,
    exit: (code) => {
      screen.restore();
      options.exit(code);
    },
    onStop: (signal) => getLog("cli").info("Stopping", { signal }),
  });
  const prompter = new Prompter({
    terminal,
    screen,
    clock,
    color: err.color,
    onInterrupt: () => lifetime.stop("Ctrl-C"),
  });
  return {
    command,
    terminal,
    clock,
    screen,
    prompter,
    lifetime,
    out: marks(terminal.stdout.isTerminal),
    err,
    debug: wantsDebug(command, terminal),
    closers: [],
  };
}

function wantsDebug({ log }: Command, { env }: Terminal): boolean {
  return Boolean(env["AWSOCKS_DEBUG"]) || log.level === "debug" || log.level === "trace";
}

/** Logging as the flags want it, for commands that log. */
export async function startLogging(app: App): Promise<void> {
  await configureLogging({
    ...app.command.log,
    color: app.err.color,
    write: (line) => app.screen.line(line),
  });
  const log = getLog("cli");
  for (const warning of app.command.warnings) log.warn("{warning}", { warning });
}
