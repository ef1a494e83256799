/**
 * `awsocks-agent init` and `awsocks-agent serve`: the guest's end of the tunnel.
 *
 * @module
 */

import { parseArgs } from "node:util";
import { systemClock } from "../core/clock.ts";
import { AwsocksError, describeError, ExitCode } from "../core/errors.ts";
import { getLog } from "../core/log.ts";
import { init, type InitOptions, serve, type ServeOptions } from "../guest/mod.ts";
import { TUNNEL_PORT } from "../protocol/mod.ts";
import { parseVsockAddress, type VsockAddress } from "../vsock/address.ts";
import type { AgentOptions, AgentRunner } from "./agent.ts";
import { formatReport, reportOf } from "./report.ts";
import { wantsColor } from "./style.ts";

/** Milliseconds before process 1 begins again after what should not have happened. */
const AGAIN_MS = 5000;

/** Runs `awsocks-agent serve ARGS`: until the host or a signal ends it. */
export const runServeProgram: AgentRunner = async (args, { terminal }) => {
  return await reported(terminal, async () => {
    const host = readHost(args);
    using stopping = stopSignals(["SIGINT", "SIGTERM"]);
    await serve(optionsOf(host, terminal, stopping.signal));
    return ExitCode.Ok;
  });
};

/** Runs `awsocks-agent init ARGS` as process 1: until the machine is switched off. */
export const runInitProgram: AgentRunner = async (args, { terminal }) => {
  return await reported(terminal, async () => {
    if (Deno.pid !== 1) {
      throw new AwsocksError("usage", "init is for process 1 of a guest, which it switches off", {
        hint: "to serve a host from an ordinary process: awsocks-agent serve",
      });
    }
    // On a wrong command line, too, the machine is better off with an agent.
    const host = await reportedOr(terminal, args);
    catchStrays();
    // What busybox's poweroff, the console's Ctrl-Alt-Del and a container's stop send.
    using stopping = stopSignals(["SIGINT", "SIGTERM", "SIGUSR2"]);
    return await forever(optionsOf(host, terminal, stopping.signal));
  });
};

/** The end of process 1 is a panic of the kernel. */
async function forever(options: InitOptions): Promise<never> {
  for (;;) {
    try {
      await init(options);
    } catch (error) {
      getLog("cli").error("{reason}; beginning again", { reason: describeError(error) });
    }
    await systemClock.sleep(AGAIN_MS);
  }
}

function optionsOf(
  host: VsockAddress,
  { stderr }: AgentOptions["terminal"],
  signal: AbortSignal,
): ServeOptions {
  return { host, signal, write: (line) => stderr.write(`${line}\n`) };
}

const DEFAULT_HOST: VsockAddress = { kind: "vsock", cid: 2, port: TUNNEL_PORT };

/** `[--host ADDRESS]`. */
function readHost(args: readonly string[]): VsockAddress {
  try {
    const { host } = parseArgs({ args: [...args], options: { host: { type: "string" } } }).values;
    return host === undefined
      ? DEFAULT_HOST
      : parseVsockAddress(host, { defaultPort: TUNNEL_PORT });
  } catch (error) {
    if (error instanceof AwsocksError) throw error;
    throw new AwsocksError("usage", error instanceof Error ? error.message : String(error), {
      cause: error,
      hint: "awsocks-agent serve --host CID[:PORT], unix:PATH or tcp:HOST:PORT",
    });
  }
}

async function reportedOr(
  terminal: AgentOptions["terminal"],
  args: readonly string[],
): Promise<VsockAddress> {
  let host = DEFAULT_HOST;
  await reported(terminal, () => {
    host = readHost(args);
    return Promise.resolve(ExitCode.Ok);
  });
  return host;
}

async function reported(
  { stderr, env }: AgentOptions["terminal"],
  work: () => Promise<number>,
): Promise<number> {
  try {
    return await work();
  } catch (error) {
    const report = await reportOf(error);
    stderr.write(formatReport(report, wantsColor({ isTerminal: stderr.isTerminal, env })));
    return report.exit;
  }
}

/** Aborted by any of the signals. */
function stopSignals(names: readonly Deno.Signal[]): Disposable & { readonly signal: AbortSignal } {
  const controller = new AbortController();
  const listeners = names.map((name) => {
    const listener = () => controller.abort(new AwsocksError("aborted", `Stopped by ${name}`));
    Deno.addSignalListener(name, listener);
    return { name, listener };
  });
  return {
    signal: controller.signal,
    [Symbol.dispose]: () => {
      for (const { name, listener } of listeners) Deno.removeSignalListener(name, listener);
    },
  };
}

/** What nobody awaited is worth a line, not the end. */
function catchStrays(): void {
  const tell = (error: unknown) =>
    getLog("cli").error("A bug: {reason}", { reason: describeError(error) });
  globalThis.addEventListener("error", (event) => {
    event.preventDefault();
    tell(event.error ?? event.message);
  });
  globalThis.addEventListener("unhandledrejection", (event) => {
    event.preventDefault();
    tell(event.reason);
  });
}
