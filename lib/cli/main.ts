/**
 * From arguments to exit code. The only place where failures become words and an exit code.
 *
 * @module
 */

import { ExitCode, isAwsocksError } from "../core/errors.ts";
import { type App, createApp } from "./app.ts";
import type { CommandName } from "./command_specs.ts";
import { type Command, parse } from "./parse.ts";
import { formatReport, reportOf } from "./report.ts";
import { wantsColor } from "./style.ts";
import { systemTerminal, type Terminal } from "./terminal.ts";

/** Runs a command; resolves with the exit code. */
export type Runner = (app: App) => Promise<number>;

/** Loaded when used: `version` must not pay for what `start` needs. */
const RUNNERS: Readonly<Record<CommandName, () => Promise<{ readonly run: Runner }>>> = {
  "start": () => import("./commands/start.ts"),
  "demo": () => import("./commands/demo.ts"),
  "sandbox": () => import("./commands/sandbox.ts"),
  "route": () => import("./commands/route.ts"),
  "exec": () => import("./commands/exec.ts"),
  "config check": () => import("./commands/config_check.ts"),
  "config init": () => import("./commands/config_init.ts"),
  "config path": () => import("./commands/config_path.ts"),
  "version": () => import("./commands/version.ts"),
  "help": () => import("./commands/help.ts"),
};

/** Options of {@linkcode main}, for tests. */
export interface MainOptions {
  readonly terminal?: Terminal;
  /** Ends the process at once; default `Deno.exit`. */
  readonly exit?: (code: number) => void;
}

/**
 * Runs a command line.
 * @returns the exit code, once everything is closed
 */
export async function main(args: readonly string[], options: MainOptions = {}): Promise<number> {
  const { terminal = systemTerminal(), exit = Deno.exit } = options;
  const parsed = parse(args);
  if (!parsed.ok) {
    const color = wantsColor({ isTerminal: terminal.stderr.isTerminal, env: terminal.env });
    const report = await reportOf(parsed.error);
    terminal.stderr.write(formatReport(report, color));
    return report.exit;
  }
  return await runCommand(parsed.command, terminal, exit);
}

async function runCommand(
  command: Command,
  terminal: Terminal,
  exit: (code: number) => void,
): Promise<number> {
  const app = createApp(command, { terminal, exit });
  using _lifetime = app.lifetime;
  using _fatal = catchStrays(app, exit);
  let code: number;
  try {
    const { run } = await RUNNERS[command.name]();
    code = await run(app);
  } catch (error) {
    code = await complain(app, error);
  }
  app.screen.status(undefined);
  if (!await app.lifetime.close(app.closers.splice(0))) {
    app.screen.line("awsocks: not everything could be closed in time");
    if (code === ExitCode.Ok) code = ExitCode.Failure;
  }
  app.screen.restore();
  return code;
}

/** Says what went wrong, unless that a signal broke it off. */
async function complain(app: App, error: unknown): Promise<number> {
  if (app.lifetime.signal.aborted && isAbort(error)) return ExitCode.Interrupted;
  const report = await reportOf(error);
  app.screen.status(undefined);
  app.screen.line(formatReport(report, app.err.color).trimEnd());
  if (app.debug) app.screen.line(stackOf(error));
  return report.exit;
}

function isAbort(error: unknown): boolean {
  return isAwsocksError(error, "aborted") ||
    error instanceof DOMException && error.name === "AbortError";
}

/** Stack traces of an error and its causes. */
function stackOf(error: unknown): string {
  const stacks: string[] = [];
  for (let at = error; at instanceof Error && stacks.length < 8; at = at.cause) {
    stacks.push(at.stack ?? String(at));
  }
  return stacks.join("\ncaused by: ");
}

/** Whatever nobody awaited ends the program, in one line, after the clean-up. */
function catchStrays(app: App, exit: (code: number) => void): Disposable {
  let dying = false;
  const die = async (error: unknown) => {
    if (dying) return;
    dying = true;
    await complain(app, error);
    await app.lifetime.close(app.closers.splice(0));
    app.screen.restore();
    exit(ExitCode.Failure);
  };
  const onError = (event: ErrorEvent) => {
    event.preventDefault();
    void die(event.error ?? event.message);
  };
  const onRejection = (event: PromiseRejectionEvent) => {
    event.preventDefault();
    void die(event.reason);
  };
  globalThis.addEventListener("error", onError);
  globalThis.addEventListener("unhandledrejection", onRejection);
  return {
    [Symbol.dispose]: () => {
      globalThis.removeEventListener("error", onError);
      globalThis.removeEventListener("unhandledrejection", onRejection);
    },
  };
}
