/**
 * Many connections to one destination in one session: smux version 1 inside port forwarding.
 *
 * The agent connects one stream at a time and gives no sign of success. What it acknowledges it has
 * handed to its multiplexer, so a refusal by the destination is on its way a moment after the
 * acknowledgement of the SYN: a dial that hears of none by then has succeeded.
 *
 * The agent holds at most 4 MiB for all streams of a session. When a destination does not read, it stops
 * taking anything, and every stream of the session stands still; so the session gets no new connections,
 * and others to the same destination go to another one.
 *
 * @module
 */

import {
  AwsocksError,
  type Clock,
  type Conn,
  formatTarget,
  getLog,
  isAwsocksError,
  orAborted,
  type Target,
  toAwsocksError,
} from "../core/mod.ts";
import { createSmuxSession, type SmuxSession } from "../smux/mod.ts";
import type { Session } from "../ssm/mod.ts";
import { AckProgress } from "./ack_progress.ts";
import type { DialOptions } from "./backend.ts";
import { Changes } from "./changes.ts";
import type { Dial, DialLedger } from "./dial_ledger.ts";
import { PortConn } from "./port_conn.ts";
import { dialFailure, sessionFailure } from "./port_failure.ts";
import { isNamed } from "./port_request.ts";
import { sessionEnd } from "./session_end.ts";
import type { PortSession } from "./port_session.ts";

const log = getLog("backend");

/** Dials that wait for their decision at a time; others wait for their turn. */
const MAX_DIALS = 32;
/** Streams that may not have been connected yet. The agent's reader stops at 1024 of them. */
const MAX_WAITING = 512;
/**
 * Milliseconds from the acknowledgement of a SYN until silence means success: what the agent takes to
 * be refused by the destination. Less where the destination has answered before.
 */
const DOUBT = { unproven: 150, proven: 30 };
/** Milliseconds for a failure to find its stream. */
const ATTRIBUTION_LIMIT = 2000;
/** Longest payload of a frame: short, so that a new stream need not wait behind much. */
const FRAME_BYTES = 8192;
/** Milliseconds between keep-alives: before the agent gives up, or against the session's idle time-out. */
const KEEP_ALIVE = { impatient: 10_000, patient: 15_000 };
/** Unread bytes of one connection; no session delivers more than 0.9 MB/s, so it was not read for long. */
const UNREAD_LIMIT = 16 * 1024 * 1024;
/** Unread bytes of all connections at which reading stops. */
const UNREAD_SUM_LIMIT = 32 * 1024 * 1024;
/** What the agent holds for destinations that do not read. */
const AGENT_POOL_BYTES = 4 * 1024 * 1024;
/** Milliseconds without any acknowledgement after which a session gets no new connections. */
const STALLED_AFTER = 3000;
/** Milliseconds after which an agent has gone: if it has no reason to stand still, and if it may have. */
const GONE_AFTER = { unreasoned: 45_000, reasoned: 600_000 };
/** Connections that may linger for as long as they like; of more, those at rest make room. */
const MAX_LINGERING = 64;
/** Milliseconds at rest after which a connection makes room. */
const AT_REST = 1000;
/** Milliseconds for which a name stays looked up when connections fail. */
const NAME_LIFETIME = 60_000;

/** Options of {@linkcode MuxSession}. */
export interface MuxSessionOptions {
  readonly target: Target;
  /** Owned from now on. */
  readonly session: Session;
  /** Gets the session's flags. */
  readonly ledger: DialLedger;
  readonly clock: Clock;
  /** The agent does not end a session that is silent. */
  readonly bearsSilence: boolean;
}

/** A multiplexed session. */
export class MuxSession implements PortSession {
  readonly closed: Promise<AwsocksError | undefined>;
  readonly #options: MuxSessionOptions;
  readonly #smux: SmuxSession;
  readonly #conns = new Set<PortConn>();
  readonly #turns = new Changes();
  readonly #openedAt: number;
  readonly #progress: AckProgress;
  /** Settles when the multiplexer's latest write was taken by the session. */
  #written: Promise<unknown> = Promise.resolve();
  #dialling = 0;
  #reserved = 0;
  #proven = false;
  #stale = false;
  #ended = false;
  #idleSince: number;
  /** Bytes of connections that were closed here, of which the agent may hold some. */
  #lostSight = 0;
  /** Why it was given up here. */
  #failure: AwsocksError | undefined;
  #closing: Promise<void> | undefined;

  constructor(options: MuxSessionOptions) {
    const { session, clock, bearsSilence } = options;
    this.#options = options;
    this.#openedAt = this.#idleSince = clock.monotonic();
    this.#progress = new AckProgress(session, clock);
    this.#smux = createSmuxSession(this.#tapped(session.conn), {
      role: "client",
      version: 1,
      halfClose: false,
      maxFrameSize: FRAME_BYTES,
      maxReceiveBuffer: UNREAD_SUM_LIMIT,
      keepAlive: {
        interval: bearsSilence ? KEEP_ALIVE.patient : KEEP_ALIVE.impatient,
        timeout: false,
      },
      clock,
    });
    this.closed = this.#end();
  }

  get name(): string {
    return this.#options.session.sessionId;
  }

  get load(): number {
    let needed = 0;
    for (const conn of this.#conns) if (!conn.lingers && !conn.over) needed++;
    return needed + this.#dialling + this.#reserved;
  }

  get idleFor(): number {
    const now = this.#now();
    if (this.load > 0) this.#idleSince = now;
    return now - this.#idleSince;
  }

  get open(): boolean {
    return !this.#ended && !this.#stale && this.#options.ledger.waiting < MAX_WAITING;
  }

  get healthy(): boolean {
    return this.open && this.#stillFor < STALLED_AFTER;
  }

  get stalledFor(): number {
    return this.#progress.stalledFor;
  }

  get silence(): number {
    const { connected, stats } = this.#options.session;
    return connected && !this.#poolMayBeFull() ? Math.max(this.stalledFor, stats.silence) : 0;
  }

  reserve(): void {
    this.#reserved++;
  }

  release(): void {
    this.#reserved--;
    this.#idleSince = this.#now();
  }

  async dial({ signal }: DialOptions = {}): Promise<Conn> {
    while (this.#dialling >= MAX_DIALS && !this.#ended) await this.#turns.next(signal);
    // Goes on to its decision whoever waits: the account of the agent's dials would be wrong else.
    const dialled = this.#dial();
    try {
      return await orAborted(dialled, signal);
    } catch (error) {
      dialled.then((conn) => conn.close(), () => {});
      throw error;
    }
  }

  check(): void {
    const now = this.#now();
    let lingering = 0;
    for (const conn of this.#conns) {
      if (conn.overdue(now)) conn.close();
      else if (conn.unread > UNREAD_LIMIT) conn.fail(this.#unread(conn));
      else if (conn.lingers) lingering++;
    }
    this.#makeRoom(lingering - MAX_LINGERING, now);
    const { unreasoned, reasoned } = GONE_AFTER;
    if (this.stalledFor < (this.#poolMayBeFull() ? reasoned : unreasoned)) return;
    this.#failure = this.#silent();
    void this.close();
  }

  close(): Promise<void> {
    return this.#closing ??= (() => {
      this.#smux.close();
      return this.#options.session.close();
    })();
  }

  // Dialling

  async #dial(): Promise<Conn> {
    const { clock, ledger, target } = this.#options;
    this.#dialling++;
    const done = new AbortController();
    let conn: PortConn | undefined;
    try {
      const opening = this.#smux.open(); // its SYN has its place in the order from now on
      const dial = ledger.begin(this.#now());
      const stream = await opening.catch(async (error) => {
        ledger.abandoned(dial);
        throw await this.#explain(error);
      });
      conn = new PortConn(stream, clock, {
        answered: () => {
          this.#proven = true;
          ledger.answered(dial);
        },
        ended: () => this.#endedUnheard(dial),
        closed: () => this.#forget(conn!, dial),
        explain: (error) => this.#explain(error),
      });
      this.#conns.add(conn);
      log.debug("Connecting to {target}", { target: formatTarget(target), session: this.name });
      await Promise.race([conn.heard, this.#silence(done.signal)]);
      return conn;
    } catch (error) {
      conn?.close();
      throw error;
    } finally {
      done.abort();
      this.#dialling--;
      this.#idleSince = this.#now();
      this.#turns.notify();
    }
  }

  /**
   * Resolves when a failure of the dial would be known.
   * @throws AwsocksError when the agent does not even take the SYN
   */
  async #silence(signal: AbortSignal): Promise<void> {
    const { clock, ledger, session } = this.#options;
    try {
      const taken = this.#written.then(() => session.acknowledged());
      await Promise.race([taken, this.#standstill(signal)]);
      const until = this.#now() + ATTRIBUTION_LIMIT;
      do {
        await clock.sleep(this.#proven ? DOUBT.proven : DOUBT.unproven, { signal });
      } while (ledger.doubtful(this.#now()) && this.#now() < until);
    } catch (error) {
      if (!signal.aborted) throw error; // else decided otherwise
    }
  }

  /** Milliseconds for which the agent has taken nothing, or is said not to be there. */
  get #stillFor(): number {
    return Math.max(this.stalledFor, this.silence);
  }

  /** Rejects once the session stands still. */
  async #standstill(signal: AbortSignal): Promise<never> {
    const { clock, target } = this.#options;
    while (this.#stillFor < STALLED_AFTER) await clock.sleep(STALLED_AFTER / 4, { signal });
    if (!this.#poolMayBeFull()) throw this.#silent();
    throw new AwsocksError(
      "destination-timeout",
      `${formatTarget(target)} does not read what it was sent, and its session stands still`,
    );
  }

  /** The agent has ended a stream without a byte: it could not connect, or the destination closed. */
  #endedUnheard(dial: Dial): AwsocksError | undefined {
    const { ledger, target } = this.#options;
    const ms = ledger.ended(dial, this.#now());
    if (ms === undefined) return undefined;
    // The name may lead elsewhere by now: a new session looks it up again.
    if (isNamed(target) && this.#now() - this.#openedAt >= NAME_LIFETIME) this.#stale = true;
    return dialFailure(target, ms);
  }

  #forget(conn: PortConn, dial: Dial): void {
    if (!this.#conns.delete(conn)) return;
    this.#options.ledger.abandoned(dial);
    if (!conn.over) this.#lostSight += conn.sentBytes;
    this.#idleSince = this.#now();
  }

  // The session

  /** The session's stream, with an eye on what is on its way into it. */
  #tapped(conn: Conn): Conn {
    return {
      read: (into) => conn.read(into),
      write: (data) => {
        const writing = conn.write(data);
        this.#written = writing.catch(() => {});
        return writing;
      },
      closeWrite: () => conn.closeWrite(),
      close: () => conn.close(),
    };
  }

  async #end(): Promise<AwsocksError | undefined> {
    const { session, target } = this.#options;
    const reason = await this.#smux.closed;
    this.#ended = true;
    this.#turns.notify();
    const { error } = await sessionEnd(this.#options.session, this.#options.clock) ?? {};
    void session.close();
    if (this.#failure) return this.#failure;
    const failure = sessionFailure(target, error ?? reason);
    // Without a reason of its own the session has ended as it should, and only its streams have not.
    return error || isAwsocksError(reason, "smux-protocol-error")
      ? toAwsocksError(failure)
      : undefined;
  }

  /** What a failure of a stream means: the end of the session, if that is behind it. */
  async #explain(error: unknown): Promise<unknown> {
    if (!isAwsocksError(error)) return error;
    if (this.#failure) return this.#failure;
    const end = await sessionEnd(this.#options.session, this.#options.clock);
    if (!end) return error;
    return sessionFailure(
      this.#options.target,
      end.error ?? new AwsocksError("session-closed", "The session has ended", { cause: error }),
    );
  }

  /** Most connections that linger have lost their client, but hold a place here and a socket there. */
  #makeRoom(surplus: number, now: number): void {
    for (const conn of this.#conns) {
      if (surplus <= 0) return;
      if (!conn.lingers || now - conn.movedAt < AT_REST) continue;
      conn.close();
      surplus--;
    }
  }

  /** True if the agent may stand still because of what destinations have not read. */
  #poolMayBeFull(): boolean {
    let held = this.#lostSight;
    for (const conn of this.#conns) held += conn.sentBytes;
    return held >= AGENT_POOL_BYTES;
  }

  #silent(): AwsocksError {
    const seconds = Math.round(this.#stillFor / 1000);
    return new AwsocksError("session-lost", `The SSM agent has taken nothing for ${seconds} s`, {
      facts: { sessionId: this.name },
    });
  }

  #unread(conn: PortConn): AwsocksError {
    const megabytes = Math.floor(conn.unread / 1e6);
    return new AwsocksError(
      "destination-failed",
      `The client of ${
        formatTarget(this.#options.target)
      } has left ${megabytes} MB unread, which a port session cannot hold back`,
      { hint: 'set `backend = "ssh"` for clients that read slowly' },
    );
  }

  #now(): number {
    return this.#options.clock.monotonic();
  }
}
