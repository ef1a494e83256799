/**
 * The sessions of a port backend: one for each destination, kept for a while, bounded in number.
 *
 * @module
 */

import {
  AwsocksError,
  type Clock,
  describeError,
  formatTarget,
  getLog,
  orAborted,
  type Target,
  type Timer,
  withDeadline,
} from "../core/mod.ts";
import { Changes } from "./changes.ts";
import { isAboutDestination } from "./failures.ts";
import type { PortSession } from "./port_session.ts";

const log = getLog("backend");

/** Milliseconds between looks at what has had its time. */
const CHECK_INTERVAL = 1000;
/** Milliseconds that a connection waits for a session while others have all there may be. */
const ROOM_TIMEOUT = 10_000;
/** Milliseconds after which a session that takes nothing has to make room for others. */
const STALLED_LIMIT = 60_000;
/** Sessions to one destination that takes nothing: more would only stand still too. */
const MAX_ALIKE = 2;

/** Options of {@linkcode PortPool}. */
export interface PortPoolOptions {
  readonly clock: Clock;
  /** Starts a session to a destination. */
  readonly open: (target: Target, options: { signal: AbortSignal }) => Promise<PortSession>;
  /** Most sessions at a time. */
  readonly maxSessions: number;
  /** Milliseconds without a connection after which a session is closed. */
  readonly idleTime: number;
  /** A session has ended by itself. */
  readonly onEnd?: () => void;
}

/** A session that is up. */
interface Entry {
  readonly key: string;
  readonly target: Target;
  readonly session: PortSession;
}

/** Sessions by destination. */
export class PortPool {
  readonly #options: PortPoolOptions;
  readonly #entries = new Set<Entry>();
  /** Sessions on their way up, by destination. */
  readonly #opening = new Map<string, Promise<void>>();
  readonly #closing = new Set<Promise<void>>();
  readonly #abort = new AbortController();
  readonly #changes = new Changes();
  #checks: Timer | undefined;

  constructor(options: PortPoolOptions) {
    this.#options = options;
  }

  /** Sessions that are up. */
  get size(): number {
    return this.#entries.size;
  }

  /**
   * A session to a destination, reserved for one connection: the one there is, or a new one, for which
   * an idle session to elsewhere may have to go.
   * @throws AwsocksError `backend-unavailable` when all sessions stay in use; what opening one throws
   */
  async acquire(target: Target, signal?: AbortSignal): Promise<PortSession> {
    const key = formatTarget({ ...target, host: target.host.toLowerCase() });
    for (;;) {
      signal?.throwIfAborted();
      this.#abort.signal.throwIfAborted();
      const [session, ...others] = this.#known(key);
      const opening = this.#opening.get(key);
      if (session?.healthy) return reserved(session);
      if (opening) await orAborted(opening, signal);
      else if (others.length + 1 < MAX_ALIKE && this.#makeRoom()) {
        await orAborted(this.#open(key, target), signal);
      } else if (session) return reserved(session);
      else await this.#room(key, target, signal);
    }
  }

  /** Ends all sessions. Bounded in time, idempotent. */
  async close(reason: AwsocksError): Promise<void> {
    this.#abort.abort(reason);
    for (const entry of this.#entries) this.#close(entry, "the proxy is stopping");
    this.#changes.notify();
    await Promise.allSettled([...this.#opening.values()]);
    await Promise.all(this.#closing);
  }

  /** Sessions that take another connection, the one that is best for it first. */
  #known(key: string): PortSession[] {
    return [...this.#entries]
      .filter((entry) => entry.key === key && entry.session.open)
      .map((entry) => entry.session)
      .sort((a, b) => Number(b.healthy) - Number(a.healthy) || a.stalledFor - b.stalledFor);
  }

  /** @returns whether one more session may be started now */
  #makeRoom(): boolean {
    if (this.#entries.size + this.#opening.size < this.#options.maxSessions) return true;
    const victim = this.#dispensable();
    if (!victim) return false;
    this.#close(victim, "another destination needs its place");
    return true;
  }

  /** The session that has been idle for longest; else one that has taken nothing for long. */
  #dispensable(): Entry | undefined {
    let idlest: Entry | undefined;
    let stalled: Entry | undefined;
    for (const entry of this.#entries) {
      const { session } = entry;
      if (session.load === 0 && session.idleFor >= (idlest?.session.idleFor ?? 0)) idlest = entry;
      if (session.stalledFor >= (stalled?.session.stalledFor ?? STALLED_LIMIT)) stalled = entry;
    }
    return idlest ?? stalled;
  }

  /** Waits for something that lets {@linkcode acquire} go on. */
  #room(key: string, target: Target, signal?: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    const wait = async (limited: AbortSignal) => {
      while (
        this.#known(key).length === 0 && !this.#opening.has(key) && !this.#makeRoom()
      ) {
        await this.#changes.next(limited);
        this.#abort.signal.throwIfAborted();
      }
    };
    return withDeadline(clock, ROOM_TIMEOUT, () => this.#full(target), wait, signal);
  }

  #full(target: Target): AwsocksError {
    const { maxSessions } = this.#options;
    const others = [...this.#entries].map((entry) => entry.key).join(", ");
    return new AwsocksError(
      "backend-unavailable",
      `No session for ${formatTarget(target)}: all ${maxSessions} are in use, by ${others}`,
      { hint: 'close connections to other hosts, or set `backend = "ssh"`' },
    );
  }

  /** Opens a session for all who wait for it; a failure is all theirs. */
  #open(key: string, target: Target): Promise<void> {
    const { clock, open } = this.#options;
    this.#checks ??= clock.every(CHECK_INTERVAL, () => this.#check());
    const opening = open(target, { signal: this.#abort.signal }).then((session) => {
      const entry = { key, target, session };
      this.#entries.add(entry);
      void session.closed.then((reason) => this.#ended(entry, reason));
      if (this.#abort.signal.aborted) return this.#close(entry, "the proxy is stopping");
      log.info("Session {session} to {target} is open", { session: session.name, target: key });
    }).finally(() => {
      this.#opening.delete(key);
      this.#changed();
    });
    opening.catch(() => {}); // whoever waited may have left
    this.#opening.set(key, opening);
    return opening;
  }

  #ended(entry: Entry, reason: AwsocksError | undefined): void {
    if (!this.#entries.has(entry)) return;
    // What is wrong with the destination is told by the connections that wanted to go there.
    if (!isAboutDestination(reason)) {
      log.warn("Session {session} to {target} has ended{why}", {
        session: entry.session.name,
        target: entry.key,
        why: reason ? `: ${describeError(reason)}` : "",
      });
    }
    this.#close(entry, "it has ended");
    this.#options.onEnd?.();
  }

  #close(entry: Entry, why: string): void {
    if (!this.#entries.delete(entry)) return;
    const { session, key } = entry;
    log.debug("Closing session {session} to {target}: {why}", {
      session: session.name,
      target: key,
      why,
    });
    const closing = session.close().finally(() => this.#closing.delete(closing));
    this.#closing.add(closing);
    this.#changed();
  }

  #check(): void {
    for (const entry of this.#entries) {
      const { session } = entry;
      session.check();
      if (session.idleFor >= this.#options.idleTime) this.#close(entry, "nobody needs it");
      else if (!session.open && session.load === 0) this.#close(entry, "it takes no connections");
    }
    this.#changes.notify(); // load comes and goes without a word
  }

  #changed(): void {
    this.#changes.notify();
    if (this.#entries.size + this.#opening.size > 0) return;
    this.#checks?.cancel();
    this.#checks = undefined;
  }
}

function reserved(session: PortSession): PortSession {
  session.reserve();
  return session;
}
