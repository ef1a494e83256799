/**
 * The guest's end of the tunnel as a program: everything but bringing a machine up.
 *
 * @module
 */

import { type Clock, systemClock } from "../core/mod.ts";
import { connectVsock, type VsockAddress } from "../vsock/mod.ts";
import { GuestAgent } from "./agent.ts";
import { GuestLog } from "./guest_log.ts";

/** Options of {@linkcode serveHost}. */
export interface ServeOptions {
  /** Where the host waits. */
  readonly host: VsockAddress;
  /** Ends it. */
  readonly signal: AbortSignal;
  /** Takes lines of the log, without line ends. */
  readonly write: (line: string) => void;
  readonly clock?: Clock;
}

/** Options of {@linkcode serveHost}. */
export interface ServeHostOptions extends Pick<ServeOptions, "host" | "signal" | "clock"> {
  /** Folder of the guest's own. */
  readonly stateDir: string;
  readonly log: GuestLog;
  /** Sets the clock of the machine, in milliseconds since the Unix epoch; only where it is ours. */
  readonly setTime?: (now: number) => void;
}

/** Milliseconds for one connection to the host. */
const CONNECT_TIMEOUT_MS = 5000;

/**
 * Serves the host until it asks for the end or the signal aborts. Never rejects for what the host or the
 * network does.
 */
export async function serveHost(options: ServeHostOptions): Promise<void> {
  const { host, signal, clock = systemClock } = options;
  const agent = new GuestAgent({
    ...options,
    connect: ({ signal }) => connectVsock(host, { signal, timeout: CONNECT_TIMEOUT_MS, clock }),
    clock,
  });
  await agent.run({ signal });
}

/** Serves the host from an ordinary process, without rights to change the machine. */
export async function serve(options: ServeOptions): Promise<void> {
  const log = new GuestLog({ write: options.write });
  await log.configure({ level: "info" });
  const stateDir = await Deno.makeTempDir({ prefix: "awsocks-agent-" });
  try {
    await serveHost({ ...options, stateDir, log });
  } finally {
    await Deno.remove(stateDir, { recursive: true });
  }
}
