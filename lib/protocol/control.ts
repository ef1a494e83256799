/**
 * The control channel: calls with answers in both directions, and notices without, over one stream.
 *
 * Whatever the peer does, what this end holds for it is bounded: calls that run, bytes that wait to be
 * sent, and the length of each message. Notices that may be lost (the guest's log) come from a source
 * that is asked only when nothing else waits.
 *
 * @module
 */

import {
  AwsocksError,
  type Clock,
  type Conn,
  describeError,
  getLog,
  withDeadline,
  writeAll,
} from "../core/mod.ts";
import type { Call, Notice } from "./calls.ts";
import type { Peer } from "./ending.ts";
import { object, oneOf, optional, text, whole } from "./fields.ts";
import { encodeMessage, type Message, readMessage } from "./message.ts";
import { decodeError, encodeError } from "./wire_error.ts";

/** Bytes of JSON that a message may have: a configuration with a bundle of certificates. */
const MESSAGE_LIMIT = 1024 * 1024;

/** Bytes that may wait to be sent; more wait only for a peer that does not read. */
const QUEUE_LIMIT = 4 * MESSAGE_LIMIT;

/** Calls of the peer that may run at a time. */
const MAX_RUNNING = 64;

const log = getLog("protocol");

/** What all messages have in common. */
interface Envelope {
  readonly type: typeof MESSAGE_TYPES[number];
  /** Number of a request, and of what belongs to it. */
  readonly id?: number;
  /** Of a call or a notice. */
  readonly name?: string;
}

const MESSAGE_TYPES = ["request", "response", "cancel", "notice"] as const;

const envelope = object<Envelope>({
  type: oneOf(MESSAGE_TYPES),
  id: optional(whole(0)),
  name: optional(text(64)),
});

type Handler = (params: unknown, options: { signal: AbortSignal }) => Promise<unknown>;

interface Pending {
  readonly resolve: (message: Message) => void;
  readonly reject: (error: unknown) => void;
}

/** Options of {@linkcode ControlChannel}. */
export interface ControlOptions {
  readonly clock: Clock;
  /** Who is at the other end, for messages. */
  readonly peer: Peer;
  /** The next notice that may wait until there is nothing else to say. */
  readonly spare?: () => { readonly notice: Notice<unknown>; readonly params: unknown } | undefined;
  /** Called once, when the peer has ended the channel or broken the rules. */
  readonly onEnd: (reason: unknown) => void;
}

/** Options of {@linkcode ControlChannel.call}. */
export interface CallOptions {
  /** Gives up; the peer is told. */
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds for the answer; default that of the call. */
  readonly limit?: number | undefined;
}

/** One end of the channel. */
export class ControlChannel {
  readonly #stream: Conn;
  readonly #options: ControlOptions;
  readonly #handlers = new Map<string, Handler>();
  readonly #listeners = new Map<string, (params: unknown) => void>();
  readonly #pending = new Map<number, Pending>();
  readonly #running = new Map<number, AbortController>();
  readonly #queue: Uint8Array[] = [];
  #queued = 0;
  #wake: (() => void) | undefined;
  #nextId = 1;
  #ended: AwsocksError | undefined;

  /** @param stream after the greeting */
  constructor(stream: Conn, options: ControlOptions) {
    this.#stream = stream;
    this.#options = options;
  }

  /** Says who answers a call. */
  handle<P, R>(
    call: Call<P, R>,
    handler: (params: P, options: { signal: AbortSignal }) => Promise<R>,
  ): void {
    const { name, params } = call;
    this.#handlers.set(name, async (value, options) => await handler(params(value, name), options));
  }

  /** Says who listens to a notice. */
  on<P>(notice: Notice<P>, listener: (params: P) => void): void {
    const { name, params } = notice;
    this.#listeners.set(name, (value) => listener(params(value, name)));
  }

  /** Begins; handlers and listeners must be known by now. */
  start(): void {
    void this.#readLoop();
    void this.#writeLoop();
  }

  /**
   * Asks the peer.
   * @throws AwsocksError what the peer says, `timeout`, `tunnel-closed`; the reason of the signal
   */
  async call<P, R>(call: Call<P, R>, params: P, options: CallOptions = {}): Promise<R> {
    const { name, result, limit: usual } = call;
    const { signal, limit = usual } = options;
    if (this.#ended) throw this.#ended;
    signal?.throwIfAborted();
    const id = this.#nextId++;
    const { promise, resolve, reject } = Promise.withResolvers<Message>();
    this.#pending.set(id, { resolve, reject });
    try {
      this.#send({ type: "request", id, name, params });
      const answer = await withDeadline(
        this.#options.clock,
        limit,
        () => this.#noAnswer(name, limit),
        () => promise,
        signal,
      );
      if ("error" in answer) {
        throw decodeError(answer.error, `${name}.error`, "tunnel-protocol-error");
      }
      return result(answer.result, name);
    } catch (error) {
      if (this.#pending.has(id) && !this.#ended) this.#send({ type: "cancel", id });
      throw error;
    } finally {
      this.#pending.delete(id);
      // The deadline may have been first; nobody waits for this any more.
      promise.catch(() => {});
    }
  }

  /** Tells the peer. */
  notify<P>(notice: Notice<P>, params: P): void {
    if (!this.#ended) this.#send({ type: "notice", name: notice.name, params });
  }

  /** Says that the source of what may wait has something. */
  spareReady(): void {
    this.#wake?.();
  }

  /** Ends this end: calls that wait fail, those that run are told. Idempotent. */
  end(reason: AwsocksError): void {
    if (this.#ended) return;
    this.#ended = reason;
    for (const { reject } of this.#pending.values()) reject(reason);
    this.#pending.clear();
    for (const controller of this.#running.values()) controller.abort(reason);
    this.#queue.length = 0;
    this.#wake?.();
    this.#stream.close();
  }

  #noAnswer(name: string, limit: number): AwsocksError {
    const { peer } = this.#options;
    return new AwsocksError(
      "timeout",
      `The ${peer} did not answer ${name} within ${limit / 1000} s`,
      {
        facts: { call: name, limit },
      },
    );
  }

  #send(message: Message): void {
    this.#enqueue(encodeMessage(message, MESSAGE_LIMIT));
  }

  #enqueue(bytes: Uint8Array): void {
    this.#queued += bytes.byteLength;
    this.#queue.push(bytes);
    this.#wake?.();
    if (this.#queued > QUEUE_LIMIT) this.#fail("provokes more answers than it reads");
  }

  #fail(what: string): void {
    const { peer, onEnd } = this.#options;
    onEnd(new AwsocksError("tunnel-protocol-error", `The ${peer} ${what}`));
  }

  async #readLoop(): Promise<void> {
    const { peer, onEnd } = this.#options;
    try {
      for (;;) {
        const message = await readMessage(this.#stream, MESSAGE_LIMIT);
        if (this.#ended) return;
        if (!message) throw new AwsocksError("tunnel-closed", `The ${peer} has ended the tunnel`);
        this.#dispatch(message);
      }
    } catch (error) {
      if (!this.#ended) onEnd(error);
    }
  }

  #dispatch(message: Message): void {
    const { type, id = 0, name = "" } = envelope(message, "message");
    switch (type) {
      case "request":
        return this.#requested(id, name, message.params);
      case "response":
        // Nobody may wait for it any more.
        return this.#pending.get(id)?.resolve(message);
      case "cancel":
        return this.#running.get(id)?.abort(new AwsocksError("aborted", "The peer has given up"));
      case "notice":
        // One that is not known comes from a later version.
        return this.#listeners.get(name)?.(message.params);
    }
  }

  #requested(id: number, name: string, params: unknown): void {
    if (this.#running.has(id)) return this.#fail("asks twice under one number");
    if (this.#running.size >= MAX_RUNNING) return this.#fail("asks for too much at a time");
    const controller = new AbortController();
    this.#running.set(id, controller);
    void this.#run(id, name, params, controller.signal);
  }

  async #run(id: number, name: string, params: unknown, signal: AbortSignal): Promise<void> {
    let answer: Uint8Array;
    try {
      const handler = this.#handlers.get(name);
      if (!handler) throw new AwsocksError("tunnel-incompatible", `There is no call ${name}`);
      const result = await handler(params, { signal });
      answer = encodeMessage({ type: "response", id, result }, MESSAGE_LIMIT);
    } catch (error) {
      log.debug("Call {name} failed: {reason}", { name, reason: describeError(error) });
      answer = encodeMessage({ type: "response", id, error: encodeError(error) }, MESSAGE_LIMIT);
    }
    this.#running.delete(id);
    if (!this.#ended) this.#enqueue(answer);
  }

  async #writeLoop(): Promise<void> {
    try {
      for (;;) {
        if (this.#ended) return;
        const bytes = this.#next();
        if (bytes) await writeAll(this.#stream, bytes);
        else await new Promise<void>((resolve) => this.#wake = resolve);
        this.#wake = undefined;
      }
    } catch (error) {
      if (!this.#ended) this.#options.onEnd(error);
    }
  }

  #next(): Uint8Array | undefined {
    const bytes = this.#queue.shift();
    if (bytes) {
      this.#queued -= bytes.byteLength;
      return bytes;
    }
    const next = this.#options.spare?.();
    if (!next) return undefined;
    const { notice: { name }, params } = next;
    return encodeMessage({ type: "notice", name, params }, MESSAGE_LIMIT);
  }
}
