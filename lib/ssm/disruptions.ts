/**
 * Noticing that the machine has slept, or that its network is another one: connections may be dead then
 * without anybody saying so.
 *
 * Sleep shows in the clocks. On Linux and macOS the monotonic clock stands still meanwhile and the wall
 * clock goes on; on Windows both go on, and a timer comes late. What else sets the clock, or holds the
 * process up, is taken for sleep too: all that comes of it is a look at the connections.
 *
 * @module
 */

import { type Clock, getLog, type Timer } from "../core/mod.ts";

const log = getLog("ssm");

/** Milliseconds between looks. */
const INTERVAL = 2000;
/** Milliseconds that a clock may be off without anything having happened. */
const TOLERANCE = 8000;

/** Tells when connections may have died unnoticed. */
export interface Disruptions {
  /** @param listener gets the cause for the log; must not throw */
  on(listener: (cause: string) => void): Disposable;
}

/** Passes on what it is told. */
export class ToldDisruptions implements Disruptions {
  readonly #listeners = new Set<(cause: string) => void>();

  /** How many listen. */
  get listeners(): number {
    return this.#listeners.size;
  }

  on(listener: (cause: string) => void): Disposable {
    // One entry for each call, also of the same function.
    const entry = (cause: string) => listener(cause);
    this.#listeners.add(entry);
    return { [Symbol.dispose]: () => void this.#listeners.delete(entry) };
  }

  /** Something has happened. */
  tell(cause: string): void {
    for (const listener of [...this.#listeners]) listener(cause);
  }
}

/** Options of {@linkcode DisruptionWatch}. */
export interface DisruptionWatchOptions {
  readonly clock: Clock;
  /** Addresses of this machine, in any order; default those of its network interfaces. */
  readonly addresses?: () => readonly string[];
}

/** Looks every two seconds, for as long as anybody listens. */
export class DisruptionWatch implements Disruptions {
  readonly #clock: Clock;
  readonly #addresses: () => readonly string[];
  readonly #told = new ToldDisruptions();
  #timer: Timer | undefined;
  #last = { wall: 0, monotonic: 0, network: "" };

  constructor({ clock, addresses = ownAddresses }: DisruptionWatchOptions) {
    this.#clock = clock;
    this.#addresses = addresses;
  }

  on(listener: (cause: string) => void): Disposable {
    const entry = this.#told.on(listener);
    if (!this.#timer) {
      this.#last = this.#now();
      this.#timer = this.#clock.every(INTERVAL, () => this.#look());
    }
    return {
      [Symbol.dispose]: () => {
        entry[Symbol.dispose]();
        if (this.#told.listeners > 0) return;
        this.#timer?.cancel();
        this.#timer = undefined;
      },
    };
  }

  #now() {
    return {
      wall: this.#clock.now(),
      monotonic: this.#clock.monotonic(),
      network: this.#addresses().toSorted().join(" "),
    };
  }

  #look(): void {
    const before = this.#last;
    const now = this.#last = this.#now();
    const late = Math.max(now.wall - before.wall, now.monotonic - before.monotonic) - INTERVAL;
    if (late > TOLERANCE) {
      this.#tell(`This machine was asleep for ${Math.round(late / 1000)} s`);
    } else if (now.network !== before.network) {
      this.#tell("The network of this machine has changed");
    }
  }

  #tell(cause: string): void {
    log.info("{cause}; looking whether connections still stand", { cause });
    this.#told.tell(cause);
  }
}

/**
 * Addresses by which other networks can be reached. Those that a link gives itself lead nowhere, and come
 * and go with every container. Empty where the program may not, or cannot, know them.
 */
function ownAddresses(): readonly string[] {
  try {
    return usableAddresses(Deno.networkInterfaces());
  } catch {
    return [];
  }
}

/** Interface and address of all that is neither loopback nor link-local (RFC 3927, RFC 4291). */
export function usableAddresses(
  interfaces: readonly Pick<Deno.NetworkInterfaceInfo, "name" | "address">[],
): readonly string[] {
  return interfaces
    .filter(({ address }) => !/^(127\.|169\.254\.|::1$|fe[89ab])/i.test(address))
    .map(({ name, address }) => `${name}=${address}`);
}
