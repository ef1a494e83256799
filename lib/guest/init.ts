/**
 * Process 1 of the guest: brings the machine up, serves the host, and switches the machine off when the
 * host asks for it. Whatever fails is logged and gone on from: the end of process 1 is the machine's.
 *
 * @module
 */

import { type Clock, describeError, getLog, systemClock } from "../core/mod.ts";
import { Children, startReaper } from "./children.ts";
import { waitForEntropy } from "./entropy.ts";
import { GuestLog } from "./guest_log.ts";
import { type Kernel, openKernel } from "./kernel.ts";
import { loadModules } from "./modules.ts";
import { mountAll } from "./mounts.ts";
import { keepNetwork, startLoopback } from "./network.ts";
import { serveHost, type ServeOptions } from "./serve.ts";

const log = getLog("guest");

/** Folder of the guest's own. */
const STATE_DIR = "/run/awsocks";

/** Milliseconds before what failed altogether is tried again. */
const AGAIN_MS = 5000;

/** Options of {@linkcode init}. */
export interface InitOptions extends ServeOptions {
  readonly kernel?: Kernel;
}

/** Brings the machine up and serves; resolves only if the machine could not be switched off. */
export async function init(options: InitOptions): Promise<void> {
  const { clock = systemClock } = options;
  const guestLog = new GuestLog({ write: options.write });
  await guestLog.configure({ level: "info" });
  const kernel = options.kernel ?? await openKernel();
  const children = new Children();
  await bringUp(kernel, clock);
  using _reaper = startReaper({ kernel, children, clock });
  const over = new AbortController();
  const network = keepNetwork({
    kernel,
    children,
    stateDir: STATE_DIR,
    clock,
    signal: over.signal,
  });
  await persist(clock, () =>
    serveHost({
      host: options.host,
      signal: options.signal,
      stateDir: STATE_DIR,
      log: guestLog,
      setTime: (now) => kernel.setTime(now),
      clock,
    }));
  over.abort();
  await network;
  log.info("Switching off");
  kernel.powerOff();
}

/** What the machine needs before anything can run on it. */
async function bringUp(kernel: Kernel, clock: Clock): Promise<void> {
  await attempt("File systems", () => mountAll(kernel));
  await attempt("Folders", () => Deno.mkdir(STATE_DIR, { recursive: true, mode: 0o700 }));
  await attempt("Host name", () => nameMachine(kernel));
  startLoopback(kernel);
  await attempt("Modules", () => loadModules(kernel));
  await attempt("Entropy", () => waitForEntropy(clock));
}

async function nameMachine(kernel: Kernel): Promise<void> {
  const name = (await Deno.readTextFile("/etc/hostname")).trim();
  if (name !== "") kernel.setHostName(name);
}

/** One step; the next ones may do without it. */
async function attempt(step: string, work: () => Promise<unknown>): Promise<void> {
  try {
    await work();
  } catch (error) {
    log.error("{step}: {reason}", { step, reason: describeError(error) });
  }
}

/** Does something until it has ended by itself. */
async function persist(clock: Clock, work: () => Promise<void>): Promise<void> {
  for (;;) {
    try {
      return await work();
    } catch (error) {
      log.error("The agent has failed, beginning again: {reason}", {
        reason: describeError(error),
      });
      await clock.sleep(AGAIN_MS);
    }
  }
}
