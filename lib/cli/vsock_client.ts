/**
 * The program `vsock-client`: runs in a guest and runs what its host sends.
 *
 * @module
 */

import { systemClock } from "../core/clock.ts";
import type { Conn } from "../core/conn.ts";
import { ExitCode } from "../core/errors.ts";
import { configureLogging, getLog } from "../core/log.ts";
import {
  acceptOne,
  connectPatiently,
  exitCodeOf,
  runVsockClient,
  withoutStatus,
} from "../exec/mod.ts";
import { formatVsockAddress } from "../vsock/mod.ts";
import type { AgentOptions } from "./agent.ts";
import { Lifetime } from "./lifetime.ts";
import { formatReport, reportOf } from "./report.ts";
import { wantsColor } from "./style.ts";
import { versionLine } from "./version.ts";
import { parseVsockClientArgs, type VsockClientRequest } from "./vsock_client_args.ts";
import { VSOCK_CLIENT_HELP } from "./vsock_client_help.ts";

const PROGRAM = "vsock-client";

/** Runs `vsock-client ARGS`. */
export async function runVsockClientProgram(
  args: readonly string[],
  { terminal, exit }: AgentOptions,
): Promise<number> {
  const { stdout, stderr, env } = terminal;
  const color = wantsColor({ isTerminal: stderr.isTerminal, env });
  try {
    const request = parseVsockClientArgs(args);
    switch (request.kind) {
      case "help":
        stdout.write(VSOCK_CLIENT_HELP);
        return ExitCode.Ok;
      case "version":
        stdout.write(`${versionLine(PROGRAM)}\n`);
        return ExitCode.Ok;
      case "run":
        await configureLogging({
          level: request.verbose ? "debug" : "warn",
          color,
          write: (line) => stderr.write(`${line}\n`),
        });
        return await serve(request, exit);
    }
  } catch (error) {
    const report = await reportOf(error);
    stderr.write(formatReport(report, color, PROGRAM));
    return report.exit;
  }
}

/** Until the command has ended, the host has gone, or a signal comes. */
async function serve(
  request: VsockClientRequest & { readonly kind: "run" },
  exit: (code: number) => void,
): Promise<number> {
  using lifetime = new Lifetime({
    clock: systemClock,
    exit,
    onStop: (signal) => getLog("exec").debug("Stopping", { signal }),
  });
  lifetime.listen();
  const onHangUp = () => lifetime.stop("SIGHUP"); // or commands would outlive us
  if (Deno.build.os !== "windows") Deno.addSignalListener("SIGHUP", onHangUp);
  const { signal } = lifetime;
  const { persistent } = request;
  try {
    const conn = await open(request, signal);
    const { status } = await runVsockClient(conn, { persistent, signal });
    return persistent ? ExitCode.Ok : exitCodeOf(status ?? 0);
  } catch (error) {
    if (signal.aborted) return ExitCode.Interrupted;
    throw withoutStatus(error);
  } finally {
    if (Deno.build.os !== "windows") Deno.removeSignalListener("SIGHUP", onHangUp);
  }
}

async function open(
  { address, listen, wait }: VsockClientRequest & { readonly kind: "run" },
  signal: AbortSignal,
): Promise<Conn> {
  const conn = listen
    ? await acceptOne(address, { wait, signal })
    : await connectPatiently(address, { wait: wait ?? 0, signal });
  getLog("exec").debug("Connected with the host", { address: formatVsockAddress(address) });
  return conn;
}
