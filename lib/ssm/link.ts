/**
 * The WebSocket of a data channel as something that stays: it pings, notices when it is gone, and
 * comes back through `ResumeSession` with a new token and a new URL.
 *
 * It knows nothing of what the messages say.
 *
 * @module
 */

import {
  AwsocksError,
  Backoff,
  type Clock,
  describeError,
  getLog,
  isAwsocksError,
  type Timer,
} from "../core/mod.ts";
import type { ChannelTiming } from "./channel_types.ts";
import { encodeOpenDataChannel } from "./payloads.ts";
import type { SessionGrant, SessionService } from "./service.ts";
import type { FrameSocket, SocketConnector } from "./socket.ts";

const log = getLog("ssm");

/** What a link tells its owner. */
export interface LinkEvents {
  /** A socket is open and the channel on it has been opened. */
  up(): void;
  /** The socket is gone; the link is on its way back. */
  down(): void;
  message(bytes: Uint8Array): void;
  /** Bytes that waited have gone out. */
  drained(): void;
  /** It will not come back: `over` when the service says that the session has ended. */
  failed(error: AwsocksError, over: boolean): void;
}

/** Options of {@linkcode Link}. */
export interface LinkOptions {
  readonly service: SessionService;
  readonly connect: SocketConnector;
  readonly clock: Clock;
  readonly clientVersion: string;
  readonly timing: Pick<ChannelTiming, "ping" | "pong" | "check" | "resume">;
}

/** A WebSocket that comes back. */
export class Link {
  readonly #options: LinkOptions;
  readonly #events: LinkEvents;
  readonly #clientId = crypto.randomUUID();
  readonly #backoff = new Backoff({ initial: 200, max: 5000 });
  readonly #abort = new AbortController();
  #grant: SessionGrant;
  #socket: FrameSocket | undefined;
  /** Ends the attempt to resume that is under way, so that the next one begins. */
  #attempt: AbortController | undefined;
  #ping: Timer | undefined;
  #pong: Timer | undefined;
  #reading = true;
  #heard = false;
  #heardAt = 0;
  #resumes = 0;
  #lastError: unknown;

  /** @param grant what StartSession handed out */
  constructor(grant: SessionGrant, options: LinkOptions, events: LinkEvents) {
    this.#grant = grant;
    this.#options = options;
    this.#events = events;
  }

  /** True while a socket is open. */
  get connected(): boolean {
    return this.#socket !== undefined;
  }

  /** Bytes that wait in the socket's own buffer. */
  get bufferedAmount(): number {
    return this.#socket?.bufferedAmount ?? 0;
  }

  /** False while {@linkcode pauseReading} holds. */
  get reading(): boolean {
    return this.#reading;
  }

  /** Monotonic time in milliseconds at which the gateway was last heard, or the socket opened. */
  get heardAt(): number {
    return this.#heardAt;
  }

  /** Why the latest dial or resume failed; undefined once a socket is open. */
  get lastError(): unknown {
    return this.#lastError;
  }

  /** Times it came back. */
  get resumes(): number {
    return this.#resumes;
  }

  /** Begins: dials the URL of the grant, and from the first failure on resumes. */
  open(): void {
    this.#dial(this.#grant).catch((error) => {
      if (this.#abort.signal.aborted) return;
      if (isFinal(error)) return this.#fail(error, false);
      const delay = this.#backoff.next();
      this.#failed("connect", delay, error);
      void this.#resume(delay);
    });
  }

  /** Sends a message; lost without a word while the link is down, as the owner sends it again. */
  send(bytes: Uint8Array): void {
    this.#socket?.send(bytes);
  }

  /** Stops reading, which holds the gateway back. */
  pauseReading(): void {
    if (!this.#reading) return;
    this.#reading = false;
    this.#socket?.pause();
  }

  /** Goes on reading. */
  resumeReading(): void {
    if (this.#reading) return;
    this.#reading = true;
    this.#heardAt = this.#options.clock.monotonic();
    this.#socket?.resume();
  }

  /**
   * Finds out at once whether the gateway is still there, and tries at once to come back if it is known
   * that it is not: an attempt that began before may wait for an answer to another address.
   */
  check(): void {
    this.#attempt?.abort(new AwsocksError("aws-unreachable", "The network may be another one now"));
    if (!this.#socket || !this.#reading) return;
    this.#pong?.cancel();
    this.#pong = undefined;
    this.#sendPing(this.#options.timing.check);
  }

  /** Drops the socket and never comes back. Idempotent. */
  close(): void {
    this.#abort.abort(new AwsocksError("session-closed", "The session has ended"));
    this.#release();
  }

  async #dial(grant: SessionGrant, signal = this.#abort.signal): Promise<void> {
    const { clock, connect, clientVersion, timing } = this.#options;
    this.#heard = false;
    const socket = await connect(grant.streamUrl, {
      message: (bytes) => this.#received(bytes),
      pong: () => this.#alive(),
      drained: () => this.#events.drained(),
      closed: ({ code, reason }) => {
        this.#lost(`WebSocket closed with code ${code}${reason && ` "${reason}"`}`);
      },
    }, { signal });
    if (this.#abort.signal.aborted) return socket.close();
    this.#grant = grant;
    this.#socket = socket;
    this.#lastError = undefined;
    this.#reading = true;
    this.#heardAt = clock.monotonic();
    this.#ping = clock.every(timing.ping, () => this.#sendPing());
    socket.send(encodeOpenDataChannel({
      requestId: crypto.randomUUID(),
      tokenValue: grant.tokenValue,
      clientId: this.#clientId,
      clientVersion,
    }));
    this.#events.up();
  }

  #received(bytes: Uint8Array): void {
    this.#alive();
    if (!this.#heard) {
      this.#heard = true;
      this.#backoff.reset();
    }
    this.#events.message(bytes);
  }

  #alive(): void {
    this.#heardAt = this.#options.clock.monotonic();
    this.#pong?.cancel();
    this.#pong = undefined;
  }

  #sendPing(deadline = this.#options.timing.pong): void {
    if (this.#pong || !this.#reading) return;
    this.#socket?.ping();
    this.#pong = this.#options.clock.after(deadline, () => {
      this.#pong = undefined;
      if (this.#reading) this.#lost("no pong from the gateway");
    });
  }

  #lost(why: string): void {
    if (!this.#socket) return;
    this.#release();
    log.info("Session {sessionId}: {why}; resuming", { sessionId: this.#grant.sessionId, why });
    this.#events.down();
    // A socket that brought nothing is no reason to hurry.
    void this.#resume(this.#heard ? 0 : this.#backoff.next());
  }

  #release(): void {
    this.#ping?.cancel();
    this.#pong?.cancel();
    this.#pong = undefined;
    this.#socket?.close();
    this.#socket = undefined;
  }

  async #resume(firstDelay: number): Promise<void> {
    const { signal } = this.#abort;
    const { clock, service, timing } = this.#options;
    const { sessionId } = this.#grant;
    let start = clock.monotonic();
    let delay = firstDelay;
    while (!signal.aborted) {
      const attempt = this.#attempt = new AbortController();
      const limited = AbortSignal.any([signal, attempt.signal]);
      try {
        if (delay > 0) await clock.sleep(delay, { signal: limited });
        const grant = await service.resumeSession(sessionId, { signal: limited });
        if (!grant) return this.#fail(sessionOver(sessionId), true);
        const streamUrl = grant.streamUrl || this.#grant.streamUrl;
        await this.#dial({ ...grant, sessionId, streamUrl }, limited);
        if (signal.aborted) return;
        this.#resumes++;
        log.info("Session {sessionId} resumed", { sessionId });
        return;
      } catch (error) {
        if (signal.aborted) return;
        if (attempt.signal.aborted) {
          start = clock.monotonic();
          this.#backoff.reset();
          delay = 0;
          continue;
        }
        if (isFinal(error) || clock.monotonic() - start > timing.resume) {
          return this.#fail(resumeFailed(sessionId, error), false);
        }
        delay = this.#backoff.next();
        this.#failed("resume", delay, error);
      } finally {
        this.#attempt = undefined;
      }
    }
  }

  #fail(error: AwsocksError, over: boolean): void {
    this.close();
    this.#events.failed(error, over);
  }

  /** Notes a failure after which there will be another attempt. The log tells of each reason once. */
  #failed(what: "connect" | "resume", delay: number, error: unknown): void {
    const again = this.#lastError !== undefined &&
      describeError(error) === describeError(this.#lastError);
    this.#lastError = error;
    log[again ? "debug" : "info"](
      "Session {sessionId}: could not {what}, next try in {seconds} s: {reason}",
      {
        sessionId: this.#grant.sessionId,
        what,
        seconds: (delay / 1000).toFixed(1),
        reason: describeError(error),
      },
    );
  }
}

/** Access denied stays denied: the credentials were refreshed before the call. */
function isFinal(error: unknown): error is AwsocksError {
  return isAwsocksError(error, "aws-access-denied");
}

function sessionOver(sessionId: string): AwsocksError {
  return new AwsocksError(
    "session-closed",
    "Session Manager has ended the session (idle time-out, time limit or TerminateSession)",
    { facts: { sessionId } },
  );
}

function resumeFailed(sessionId: string, cause: unknown): AwsocksError {
  return new AwsocksError("session-lost", "The session could not be resumed", {
    cause,
    facts: { sessionId },
  });
}
