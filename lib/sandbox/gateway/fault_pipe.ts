/**
 * One direction of a session through the gateway, with everything that can go wrong on the way.
 *
 * @module
 */

import type { Clock, Timer } from "../../core/mod.ts";
import { type Frame, isRepairable } from "../frame.ts";
import type { Switches } from "../options.ts";
import type { Random } from "../random.ts";

/** Longest time in milliseconds that a message waits for others to overtake it. */
const REORDER_LIMIT_MS = 20;
/** Most messages that overtake one. */
const REORDER_DEPTH = 3;

/** Options of {@linkcode FaultPipe}. */
export interface FaultPipeOptions {
  readonly clock: Clock;
  readonly random: Random;
  /** The switches as they are now. */
  readonly switches: () => Switches;
  readonly deliver: (frame: Frame) => void;
}

/** What a pipe did to the messages. */
export interface FaultCounters {
  readonly dropped: number;
  readonly duplicated: number;
  readonly reordered: number;
  readonly delayed: number;
}

interface Held {
  readonly frame: Frame;
  /** Messages that have yet to pass. */
  passes: number;
  readonly timer: Timer;
}

/** Passes messages on: at once, late, twice, in another order, or never. */
export class FaultPipe {
  readonly #options: FaultPipeOptions;
  readonly #counters = { dropped: 0, duplicated: 0, reordered: 0, delayed: 0 };
  readonly #held = new Set<Held>();
  readonly #late: { frame: Frame; at: number }[] = [];
  #lateTimer: Timer | undefined;
  #busyUntil = 0;
  #waitingBytes = 0;

  constructor(options: FaultPipeOptions) {
    this.#options = options;
  }

  get counters(): FaultCounters {
    return { ...this.#counters };
  }

  /** Bytes that wait inside because of a delay, the latency or the rate. */
  get waitingBytes(): number {
    return this.#waitingBytes;
  }

  /** Takes a message. */
  push(frame: Frame): void {
    const { random, switches } = this.#options;
    const faults = switches();
    if (!isRepairable(frame)) return this.#schedule(frame, 0, faults);
    if (random.chance(faults.drop)) {
      this.#counters.dropped++;
      return;
    }
    const copies = random.chance(faults.duplicate) ? 2 : 1;
    this.#counters.duplicated += copies - 1;
    for (let i = 0; i < copies; i++) {
      if (random.chance(faults.reorder)) this.#hold(frame);
      else this.#pass(frame, faults);
    }
  }

  /** Loses everything that is inside: the connection behind it has gone. */
  clear(): void {
    for (const { timer } of this.#held) timer.cancel();
    this.#held.clear();
    this.#late.length = 0;
    this.#lateTimer?.cancel();
    this.#lateTimer = undefined;
    this.#waitingBytes = 0;
    this.#busyUntil = 0;
  }

  #pass(frame: Frame, faults: Switches): void {
    const { random } = this.#options;
    let delay = 0;
    if (random.chance(faults.delay)) {
      delay = random.between(1, Math.max(1, faults.delayTime));
      this.#counters.delayed++;
    }
    this.#schedule(frame, delay, faults);
    for (const held of [...this.#held]) {
      if (--held.passes <= 0) this.#release(held);
    }
  }

  #hold(frame: Frame): void {
    const { clock, random } = this.#options;
    this.#counters.reordered++;
    const held: Held = {
      frame,
      passes: random.between(1, REORDER_DEPTH),
      timer: clock.after(REORDER_LIMIT_MS, () => this.#release(held)),
    };
    this.#held.add(held);
  }

  #release(held: Held): void {
    held.timer.cancel();
    if (this.#held.delete(held)) this.#schedule(held.frame, 0, this.#options.switches());
  }

  /** Delivers now, or queues behind what is late, far away, or held back by the rate. */
  #schedule(frame: Frame, delay: number, { rate, latency }: Switches): void {
    const late = delay > 0 || rate > 0 || latency > 0 || this.#late.length > 0;
    if (!late) return this.#options.deliver(frame);
    const now = this.#options.clock.monotonic();
    const cost = rate > 0 ? frame.bytes.byteLength / rate * 1000 : 0;
    this.#busyUntil = Math.max(now, this.#busyUntil) + delay + cost;
    this.#late.push({ frame, at: this.#busyUntil + latency });
    this.#waitingBytes += frame.bytes.byteLength;
    this.#arm();
  }

  #arm(): void {
    const first = this.#late[0];
    if (!first || this.#lateTimer) return;
    const { clock } = this.#options;
    this.#lateTimer = clock.after(Math.max(0, first.at - clock.monotonic()), () => {
      this.#lateTimer = undefined;
      this.#flush();
      this.#arm();
    });
  }

  #flush(): void {
    const now = this.#options.clock.monotonic();
    while (this.#late.length > 0 && this.#late[0]!.at <= now) {
      const { frame } = this.#late.shift()!;
      this.#waitingBytes -= frame.bytes.byteLength;
      this.#options.deliver(frame);
    }
  }
}
