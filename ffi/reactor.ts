/**
 * Waiting for descriptors to become ready, any number of them with one thread.
 *
 * One `epoll_wait` at a time runs as a non-blocking FFI call while anybody waits; registrations change
 * under it from this thread, which epoll(7) allows. What became ready is tried again by whoever waited:
 * readiness is a hint.
 *
 * @module
 */

import { setImmediate } from "node:timers";
import { Errno, SystemError } from "./errors.ts";
import { attempt, closeFd, invoke, once, openLibc } from "./libc.ts";

/** What is waited for. */
export type Readiness = "read" | "write";

/** Options of {@linkcode Reactor.ready}. */
export interface ReadyOptions {
  /** Rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds to wait, up to 2³¹ − 1; default without limit. */
  readonly timeout?: number | undefined;
}

const symbols = once(() =>
  openLibc("Waiting for descriptors", {
    epoll_create1: { parameters: ["i32" /* flags */], result: "i32" },
    epoll_ctl: {
      parameters: ["i32", /* epfd */ "i32", /* op */ "i32", /* fd */ "buffer" /* event */],
      result: "i32",
    },
    epoll_wait: {
      parameters: ["i32", /* epfd */ "buffer", /* events */ "i32", /* max */ "i32" /* timeout */],
      result: "i32",
      nonblocking: true,
    },
    epoll_peek: {
      name: "epoll_wait",
      parameters: ["i32", /* epfd */ "buffer", /* events */ "i32", /* max */ "i32" /* timeout */],
      result: "i32",
    },
    eventfd: { parameters: ["u32", /* initval */ "i32" /* flags */], result: "i32" },
    eventfd_write: { parameters: ["i32", /* fd */ "u64" /* value */], result: "i32" },
    eventfd_read: { parameters: ["i32", /* fd */ "buffer" /* value */], result: "i32" },
  })
);

// linux/eventpoll.h
const EPOLL_CLOEXEC = 0o2000000;
const EPOLL_CTL_ADD = 1;
const EPOLL_CTL_DEL = 2;
const EPOLL_CTL_MOD = 3;
const EPOLLIN = 0x001;
const EPOLLOUT = 0x004;
const EPOLLERR = 0x008;
const EPOLLHUP = 0x010;
const EPOLLRDHUP = 0x2000;
const EPOLLONESHOT = 1 << 30;
const EFD_CLOEXEC_NONBLOCK = 0o2004000;

const MASKS: Readonly<Record<Readiness, number>> = {
  read: EPOLLIN | EPOLLRDHUP,
  write: EPOLLOUT,
};

/** Events that end every wait on a descriptor. */
const ENDS = EPOLLERR | EPOLLHUP;

/** struct epoll_event: a u32 of events, then a u64 of ours. Packed on x86-64, aligned elsewhere. */
const EVENT = Deno.build.arch === "x86_64" ? { size: 12, data: 4 } : { size: 16, data: 8 };

/** Events taken at a time. */
const MAX_EVENTS = 64;

interface Waiter {
  readonly what: Readiness;
  readonly settled: PromiseWithResolvers<boolean>;
}

/** A descriptor under watch. */
interface Watch {
  readonly fd: number;
  /** Tells events of this descriptor from those of an earlier one with the same number. */
  readonly generation: number;
  readonly waiters: Set<Waiter>;
}

/** Lets everything that is ready to run do so, timers and other people's I/O included. */
export function turn(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve));
}

/** Waits for descriptors; use {@linkcode reactor}, which is the one of this isolate. */
export class Reactor {
  readonly #epoll: number;
  /** Ends `epoll_wait` when nobody is left who waits. */
  readonly #wake: number;
  readonly #watches = new Map<number, Watch>();
  /** Written by the native call: held here so that it outlives it. */
  readonly #events = new Uint8Array(MAX_EVENTS * EVENT.size);
  #generation = 0;
  #waiting = 0;
  /** Runs while anybody waits. */
  #loop: Promise<void> | undefined;
  /** True while the native call is under way. */
  #parked = false;

  constructor() {
    const { epoll_create1, eventfd } = symbols();
    this.#epoll = attempt("epoll_create1", undefined, () => epoll_create1(EPOLL_CLOEXEC));
    try {
      this.#wake = attempt("eventfd", undefined, () => eventfd(0, EFD_CLOEXEC_NONBLOCK));
      this.#control(EPOLL_CTL_ADD, this.#wake, EPOLLIN, 0);
    } catch (error) {
      closeFd(this.#epoll);
      throw error;
    }
  }

  /**
   * Waits until a descriptor is, or may be, ready.
   * @returns false when the time is over
   * @throws the reason of the signal; SystemError `ECANCELED` after {@linkcode forget}
   */
  async ready(fd: number, what: Readiness, options: ReadyOptions = {}): Promise<boolean> {
    const { signal, timeout } = options;
    signal?.throwIfAborted();
    const waiter: Waiter = { what, settled: Promise.withResolvers() };
    const watch = this.#watch(fd, waiter);
    const onAbort = () => waiter.settled.reject(signal?.reason);
    signal?.addEventListener("abort", onAbort, { once: true });
    const timer = timeout === undefined
      ? undefined
      : setTimeout(() => waiter.settled.resolve(false), Math.max(0, timeout));
    this.#waiting++;
    this.#loop ??= this.#run();
    try {
      return await waiter.settled.promise;
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
      watch.waiters.delete(waiter);
      if (--this.#waiting === 0 && this.#parked) symbols().eventfd_write(this.#wake, 1n);
    }
  }

  /** Ends all waits on a descriptor. To be called before it is closed or given away. */
  forget(fd: number): void {
    const watch = this.#watches.get(fd);
    if (!watch) return;
    this.#watches.delete(fd);
    invoke(() => symbols().epoll_ctl(this.#epoll, EPOLL_CTL_DEL, fd, null));
    const error = new SystemError({ syscall: "epoll_wait", errno: Errno.ECANCELED });
    for (const { settled } of watch.waiters) settled.reject(error);
  }

  #watch(fd: number, waiter: Waiter): Watch {
    const known = this.#watches.get(fd);
    const watch = known ?? { fd, generation: ++this.#generation, waiters: new Set() };
    watch.waiters.add(waiter);
    try {
      this.#arm(watch, known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD);
    } catch (error) {
      watch.waiters.delete(waiter);
      throw error;
    }
    this.#watches.set(fd, watch);
    return watch;
  }

  /** Asks for the next event of what is waited for; each event disarms the descriptor. */
  #arm({ fd, generation, waiters }: Watch, operation: number): void {
    let mask = EPOLLONESHOT;
    for (const { what } of waiters) mask |= MASKS[what];
    this.#control(operation, fd, mask, generation);
  }

  #control(operation: number, fd: number, events: number, generation: number): void {
    const event = new DataView(new ArrayBuffer(EVENT.size));
    event.setUint32(0, events, true);
    event.setInt32(EVENT.data, fd, true);
    event.setUint32(EVENT.data + 4, generation, true);
    // The kernel copies the event during the call.
    const bytes = new Uint8Array(event.buffer);
    attempt("epoll_ctl", `${fd}`, () => symbols().epoll_ctl(this.#epoll, operation, fd, bytes));
  }

  /** Resolves when no native call is under way, for tests that look for leaks. */
  async idle(): Promise<void> {
    await this.#loop;
  }

  /** Takes events as long as anybody waits. Never rejects. */
  async #run(): Promise<void> {
    try {
      while (this.#waiting > 0) {
        this.#dispatch(await this.#wait());
        // Those whose turn it is may want to wait again, and then one call serves them all.
        await turn();
      }
    } catch (error) {
      // Nothing that a later wait could get over; see epoll_wait(2).
      for (const { waiters } of this.#watches.values()) {
        for (const { settled } of waiters) settled.reject(error);
      }
    } finally {
      this.#loop = undefined;
    }
  }

  async #wait(): Promise<number> {
    const { epoll_wait, epoll_peek } = symbols();
    this.#parked = true;
    const n = await epoll_wait(this.#epoll, this.#events, MAX_EVENTS, -1);
    this.#parked = false;
    if (n >= 0) return n;
    // Most likely a signal; the reason is in the errno of another thread, so ask again in this one.
    return attempt(
      "epoll_wait",
      undefined,
      () => epoll_peek(this.#epoll, this.#events, MAX_EVENTS, 0),
    );
  }

  #dispatch(count: number): void {
    const view = new DataView(this.#events.buffer);
    for (let i = 0; i < count; i++) {
      const at = i * EVENT.size;
      const events = view.getUint32(at, true);
      const fd = view.getInt32(at + EVENT.data, true);
      const generation = view.getUint32(at + EVENT.data + 4, true);
      if (fd === this.#wake) {
        symbols().eventfd_read(this.#wake, new BigUint64Array(1));
        continue;
      }
      const watch = this.#watches.get(fd);
      if (watch?.generation === generation) this.#notify(watch, events);
    }
  }

  #notify(watch: Watch, events: number): void {
    for (const waiter of watch.waiters) {
      if ((events & (MASKS[waiter.what] | ENDS)) === 0) continue;
      watch.waiters.delete(waiter);
      waiter.settled.resolve(true);
    }
    if (watch.waiters.size > 0) this.#arm(watch, EPOLL_CTL_MOD);
  }
}

let shared: Reactor | undefined;

/** The reactor of this isolate, made when first asked for. */
export function reactor(): Reactor {
  return shared ??= new Reactor();
}

/** Ends all waits on a descriptor, which will be closed by others. */
export function forget(fd: number): void {
  shared?.forget(fd);
}

/** Closes a socket that somebody may be waiting for. Never throws. */
export function closeSocket(fd: number): void {
  forget(fd);
  closeFd(fd);
}
