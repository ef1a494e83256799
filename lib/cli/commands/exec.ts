/**
 * `awsocks exec`: the host's side of commands over vsock.
 *
 * @module
 */

import type { Conn } from "../../core/conn.ts";
import { ExitCode } from "../../core/errors.ts";
import {
  acceptOne,
  commandOf,
  connectPatiently,
  exitCodeOf,
  HostSession,
  SIGNAL_STATUS,
  withoutStatus,
} from "../../exec/mod.ts";
import { formatVsockAddress, parseVsockAddress, type VsockAddress } from "../../vsock/mod.ts";
import { type App, startLogging } from "../app.ts";
import { converse } from "../exec_prompt.ts";
import { perform, StandardInput } from "../exec_run.ts";
import { UsageError } from "../usage_error.ts";

const SIGPIPE = 13;

/** What the command line asks for. */
interface Request {
  readonly address: VsockAddress;
  /** Connect to the address instead of listening on it. */
  readonly connect: boolean;
  /** Milliseconds to wait for the other side. */
  readonly wait: number | undefined;
  readonly command: string | undefined;
  readonly persistent: boolean;
}

/** Runs a command at a client, or several. */
export async function run(app: App): Promise<number> {
  const { terminal, lifetime: { signal } } = app;
  const request = readRequest(app);
  await startLogging(app);
  app.lifetime.listen();
  try {
    using session = new HostSession(await open(app, request), { signal });
    const input = new StandardInput(terminal.stdin);
    const status = request.persistent
      ? await converse(terminal, session, { first: request.command, input, signal })
      : await perform(terminal, session, request.command!, input);
    return exitCodeOf(status);
  } catch (error) {
    // `awsocks exec -- yes | head -1` ends as a shell would show it for `yes` itself.
    if (error instanceof Deno.errors.BrokenPipe) return SIGNAL_STATUS + SIGPIPE;
    if (signal.aborted) return ExitCode.Interrupted;
    throw withoutStatus(error);
  }
}

function readRequest({ command: { flags, arguments: words } }: App): Request {
  const connect = flags["connect"] as string | undefined;
  const listen = flags["listen"] as string | undefined;
  const persistent = flags["persistent"] === true;
  if (connect !== undefined && listen !== undefined) {
    throw new UsageError("--listen and --connect cannot both be given", { topic: "exec" });
  }
  if (words.length === 0 && !persistent) {
    throw new UsageError("There is no command to run", {
      hint: "awsocks exec -- COMMAND, or --persistent to be asked for commands",
    });
  }
  const seconds = flags["wait"] as number | undefined;
  return {
    address: parseVsockAddress(connect ?? listen ?? "any"),
    connect: connect !== undefined,
    wait: seconds === undefined ? undefined : seconds * 1000,
    command: words.length === 0 ? undefined : commandOf(words),
    persistent,
  };
}

/** The connection to the client, whichever side makes it. */
async function open(app: App, { address, connect, wait }: Request): Promise<Conn> {
  const { clock, screen, lifetime: { signal } } = app;
  try {
    if (connect) {
      screen.status(`Connecting to ${formatVsockAddress(address)} …`);
      return await connectPatiently(address, { clock, signal, wait: wait ?? 0 });
    }
    return await acceptOne(address, {
      clock,
      signal,
      wait,
      onListening: (where) =>
        screen.status(`Waiting for a vsock-client on ${formatVsockAddress(where)} …`),
    });
  } finally {
    screen.status(undefined);
  }
}
