/**
 * The program `awsocks-agent`, and `vsock-client`, which is its command `exec`. Each command is loaded
 * when it is used.
 *
 * @module
 */

import { ExitCode } from "../core/errors.ts";
import { systemTerminal, type Terminal } from "./terminal.ts";
import { versionLine } from "./version.ts";

/** Where a command of the agent reads and writes, and how it ends in a hurry. */
export interface AgentOptions {
  readonly terminal: Terminal;
  /** Ends the process at once. */
  readonly exit: (code: number) => void;
}

/** Runs a command; resolves with the exit code. */
export type AgentRunner = (args: readonly string[], options: AgentOptions) => Promise<number>;

const RUNNERS: Readonly<Record<string, () => Promise<AgentRunner>>> = {
  init: async () => (await import("./guest_program.ts")).runInitProgram,
  serve: async () => (await import("./guest_program.ts")).runServeProgram,
  exec: async () => (await import("./vsock_client.ts")).runVsockClientProgram,
};

const HELP = `awsocks-agent: the guest agent of awsocks

Usage
  awsocks-agent init [--host ADDRESS]            as process 1: bring the machine up, then serve
  awsocks-agent serve [--host ADDRESS]           carry connections for the host (default 2:5000)
  awsocks-agent exec [CID[:PORT]] [persistent]   run commands that the host sends; --help says more
  awsocks-agent version
`;

/**
 * Runs a command line of the agent.
 * @returns the exit code, once everything is closed
 */
export async function agentMain(
  args: readonly string[],
  options: Partial<AgentOptions> = {},
): Promise<number> {
  const { terminal = systemTerminal(), exit = Deno.exit } = options;
  const [name = "", ...rest] = args;
  const load = Object.hasOwn(RUNNERS, name) ? RUNNERS[name] : undefined;
  if (load) return await (await load())(rest, { terminal, exit });
  if (["version", "--version", "-V"].includes(name)) {
    terminal.stdout.write(`${versionLine("awsocks-agent")}\n`);
    return ExitCode.Ok;
  }
  const asked = ["help", "--help", "-h"].includes(name);
  const problem = asked || name === "" ? "" : `awsocks-agent: Unknown command "${name}"\n\n`;
  (asked ? terminal.stdout : terminal.stderr).write(problem + HELP);
  return asked ? ExitCode.Ok : ExitCode.Usage;
}
