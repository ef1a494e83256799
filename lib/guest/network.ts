/**
 * The guest's network: loopback, and an address by DHCP that is kept for as long as the guest lives.
 *
 * @module
 */

import { Backoff, type Clock, describeError, getLog } from "../core/mod.ts";
import type { Children } from "./children.ts";
import { errnoOf, type Kernel } from "./kernel.ts";
import { type Lease, LEASE_SCRIPT, type LeaseEvent, parseLeaseEvent, resolvConf } from "./lease.ts";

const log = getLog("guest");

/** Milliseconds between two looks for a network card that is not there yet. */
const LOOK_MS = 500;

/** Type of Ethernet cards; linux/if_arp.h. */
const ARPHRD_ETHER = 1;

/** Looks after which the log says that there is none. */
const LOOKS_BEFORE_WARNING = 20;

/** Options of {@linkcode keepNetwork}. */
export interface NetworkOptions {
  readonly kernel: Kernel;
  readonly children: Children;
  /** Folder of the guest's own. */
  readonly stateDir: string;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Folder in which the kernel shows its interfaces; default `/sys/class/net`. */
  readonly interfaces?: string;
  /** Configuration of the resolver; default `/etc/resolv.conf`. */
  readonly resolver?: string;
}

/** Brings loopback up. Failures are logged. */
export function startLoopback(kernel: Kernel): void {
  try {
    kernel.setInterfaceUp("lo");
  } catch (error) {
    log.error("Loopback cannot be brought up: {reason}", { reason: describeError(error) });
  }
}

/**
 * Waits for a network card and keeps a lease on it until the signal aborts. Never rejects: a client that
 * ends is started again.
 */
export async function keepNetwork(options: NetworkOptions): Promise<void> {
  const { clock, signal } = options;
  const backoff = new Backoff({ initial: 1000, max: 30_000 });
  while (!signal.aborted) {
    try {
      const device = await findCard(options);
      await runClient(device, options);
      log.warn("The DHCP client has ended, starting it again");
    } catch (error) {
      if (signal.aborted) return;
      log.warn("No address by DHCP: {reason}", { reason: describeError(error) });
    }
    await clock.sleep(backoff.next(), { signal }).catch(() => {});
  }
}

/** The first interface that is a card, by its type. Loopback and tunnels have others. */
async function findCard({ clock, signal, interfaces = "/sys/class/net" }: NetworkOptions) {
  for (let looks = 1;; looks++) {
    for (const name of (await namesIn(interfaces)).sort()) {
      if (await typeOf(`${interfaces}/${name}`) === ARPHRD_ETHER) return name;
    }
    if (looks === LOOKS_BEFORE_WARNING) log.warn("There is no network card");
    await clock.sleep(LOOK_MS, { signal });
  }
}

async function namesIn(folder: string): Promise<string[]> {
  const names: string[] = [];
  try {
    for await (const { name } of Deno.readDir(folder)) names.push(name);
  } catch {
    // sysfs may come later
  }
  return names;
}

async function typeOf(folder: string): Promise<number> {
  try {
    return Number(await Deno.readTextFile(`${folder}/type`));
  } catch {
    return NaN; // it has gone meanwhile
  }
}

/** Runs udhcpc in the foreground and does what it says, until it ends. */
async function runClient(device: string, options: NetworkOptions): Promise<void> {
  const { children, stateDir, signal } = options;
  const script = `${stateDir}/lease.sh`;
  await Deno.writeTextFile(script, LEASE_SCRIPT, { mode: 0o700 });
  await Deno.chmod(script, 0o700);
  // Its script only tells us: the first question would be asked on a card that is still down.
  options.kernel.setInterfaceUp(device);
  const client = children.spawn("udhcpc", {
    // -t -T -A: five questions a second apart, then again after five seconds; -O: ask for these too
    args: ["-f", "-i", device, "-s", script, "-t5", "-T1", "-A5", "-Osearch", "-Omtu"],
    stdin: "null",
    stdout: "piped",
    stderr: "null",
  });
  const onAbort = () => client.kill("SIGTERM");
  signal.addEventListener("abort", onAbort, { once: true });
  if (signal.aborted) onAbort();
  const keeper = new LeaseKeeper(options);
  try {
    for await (const line of linesOf(client.stdout)) {
      const event = parseLeaseEvent(line);
      if (event) await keeper.take(event);
    }
    await client.status;
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  let rest = "";
  for await (const text of stream.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop()!;
    yield* lines;
  }
}

/** Applies leases to the interface. */
export class LeaseKeeper {
  readonly #kernel: Kernel;
  readonly #resolver: string;
  #lease: Lease | undefined;

  constructor(options: Pick<NetworkOptions, "kernel" | "resolver">) {
    this.#kernel = options.kernel;
    this.#resolver = options.resolver ?? "/etc/resolv.conf";
  }

  /** Does what an event asks for. Failures are logged: the next event may mend them. */
  async take({ event, device, lease }: LeaseEvent): Promise<void> {
    try {
      if (lease) await this.#apply(device, lease);
      else if (event === "deconfig") this.#withdraw(device);
      else log.warn("DHCP on {device}: {event}", { device, event });
    } catch (error) {
      log.error("DHCP on {device} cannot be followed: {reason}", {
        device,
        reason: describeError(error),
      });
    }
  }

  async #apply(device: string, lease: Lease): Promise<void> {
    const { seconds: _, ...facts } = lease;
    const { seconds: __, ...before } = this.#lease ?? {};
    // Setting an address anew would end every connection from it.
    if (JSON.stringify(facts) === JSON.stringify(before)) return;
    const kernel = this.#kernel;
    if (lease.address !== this.#lease?.address || lease.prefix !== this.#lease.prefix) {
      kernel.setInterfaceAddress(device, lease.address, lease.prefix);
    }
    if (lease.mtu !== undefined) kernel.setInterfaceMtu(device, lease.mtu);
    kernel.setInterfaceUp(device);
    this.#route(device, lease.routers[0]);
    if (lease.nameServers.length > 0) await Deno.writeTextFile(this.#resolver, resolvConf(lease));
    this.#lease = lease;
    log.info("Address {address} on {device}", {
      device,
      address: `${lease.address}/${lease.prefix}`,
      router: lease.routers[0],
      nameServer: lease.nameServers[0],
      seconds: lease.seconds,
    });
  }

  #route(device: string, gateway: string | undefined): void {
    try {
      this.#kernel.removeRoute({ device });
    } catch (error) {
      // There was none.
      if (errnoOf(error) !== "ESRCH") throw error;
    }
    if (gateway !== undefined) this.#kernel.addRoute({ gateway, device });
  }

  /** The client begins, or has lost its lease. It needs the interface, and no address on it. */
  #withdraw(device: string): void {
    if (this.#lease) log.warn("The lease of {address} is lost", { address: this.#lease.address });
    this.#lease = undefined;
    this.#kernel.setInterfaceAddress(device, "0.0.0.0", 0);
    this.#kernel.setInterfaceUp(device);
  }
}
