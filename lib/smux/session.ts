/**
 * A session: many streams over one connection.
 *
 * Two loops own the connection. The reader takes chunks apart and hands bytes to their streams without
 * ever waiting for one: what a slow reader has not taken waits in its stream, within the window of
 * version 2. Version 1 has no windows: there, and only there, the reader stops when all streams
 * together hold `maxReceiveBuffer` unread bytes. The writer packs what waits into batches.
 *
 * @module
 */

import {
  AwsocksError,
  type Conn,
  getLog,
  isAwsocksError,
  type Timer,
  writeAll,
} from "../core/mod.ts";
import { AcceptQueue } from "./accept_queue.ts";
import { Command, type Frame, FrameParser, readUpdate } from "./frame.ts";
import { type SmuxOptions, type SmuxSettings, smuxSettings } from "./options.ts";
import { Outbox } from "./outbox.ts";
import { Signal } from "./signal.ts";
import { type SmuxStream, Stream, type StreamHost } from "./stream.ts";
import { WindowPool } from "./window.ts";

/** Bytes that one read of the connection takes. */
const READ_BYTES = 64 * 1024;

/**
 * Control frames that may wait beyond one per open stream. More wait only for a peer that provokes
 * answers without reading them.
 */
const MAX_CONTROL_WAITING = 16_384;

const MAX_STREAM_ID = 0xffff_ffff;

const log = getLog("smux");

/** Many streams over one connection. */
export interface SmuxSession extends Disposable {
  /** Streams that are open, in either direction. */
  readonly streams: number;
  /** Bytes of all streams that wait for a reader on this side. */
  readonly buffered: number;
  /**
   * Resolves when the session has ended: with the reason, or undefined if it was closed from this
   * side or the peer closed the connection with no stream open.
   */
  readonly closed: Promise<Error | undefined>;
  /**
   * Opens a stream; resolves when the connection has taken the announcement. smux has no answer to it:
   * a peer that refuses aborts the stream.
   * @throws AwsocksError `smux-closed`, or the reason of the session's end
   */
  open(options?: { readonly signal?: AbortSignal | undefined }): Promise<SmuxStream>;
  /**
   * Streams that the peer opens, until the session ends. Each is taken once, however many iterate.
   * Streams that nobody takes are refused once the backlog is full.
   */
  accept(): AsyncIterable<SmuxStream>;
  /** Ends the session, its streams and the connection at once. Idempotent. */
  close(): void;
}

/**
 * Runs smux over a connection, which belongs to the session from now on.
 * @throws RangeError for options that make no sense
 */
export function createSmuxSession(conn: Conn, options: SmuxOptions): SmuxSession {
  return new Session(conn, smuxSettings(options));
}

/** {@linkcode SmuxSession} with its settings spelt out. */
export class Session implements SmuxSession {
  readonly #conn: Conn;
  readonly #settings: SmuxSettings;
  readonly #streams = new Map<number, Stream>();
  readonly #accepts: AcceptQueue<Stream>;
  readonly #outbox: Outbox;
  readonly #host: StreamHost;
  readonly #closed = Promise.withResolvers<Error | undefined>();
  readonly #keepAlive: Timer | undefined;
  readonly #wakeReader = new Signal();
  readonly #wakeWriter = new Signal();
  /** What later calls are told once the session has ended. */
  #ended: AwsocksError | undefined;
  #nextId: number;
  #buffered = 0;
  /** Milliseconds without a frame, counted in intervals so that a sleeping machine does not count. */
  #silence = 0;
  #refused = 0;

  constructor(conn: Conn, settings: SmuxSettings) {
    this.#conn = conn;
    this.#settings = settings;
    this.#nextId = settings.role === "client" ? 3 : 2;
    this.#accepts = new AcceptQueue(settings.acceptBacklog);
    this.#outbox = new Outbox({
      version: settings.version,
      maxFrameSize: settings.maxFrameSize,
      onWork: () => this.#wakeWriter.set(),
    });
    this.#host = {
      settings,
      outbox: this.#outbox,
      pool: new WindowPool(settings.maxReceiveBuffer),
      onBuffered: (change) => {
        this.#buffered += change;
        if (change < 0) this.#wakeReader.set();
      },
      onOver: (stream) => void this.#streams.delete(stream.id),
    };
    const { keepAlive, clock } = settings;
    if (keepAlive) this.#keepAlive = clock.every(keepAlive.interval, () => this.#tick());
    void this.#readLoop();
    void this.#writeLoop();
  }

  get streams(): number {
    return this.#streams.size;
  }

  get buffered(): number {
    return this.#buffered;
  }

  get closed(): Promise<Error | undefined> {
    return this.#closed.promise;
  }

  async open(options: { readonly signal?: AbortSignal | undefined } = {}): Promise<SmuxStream> {
    const { signal } = options;
    signal?.throwIfAborted();
    if (this.#ended) throw this.#ended;
    if (this.#nextId > MAX_STREAM_ID) {
      throw new AwsocksError("smux-closed", "The session has used up its stream ids");
    }
    const stream = new Stream(this.#nextId, this.#host);
    this.#nextId += 2;
    this.#streams.set(stream.id, stream);
    const onAbort = () => stream.close();
    signal?.addEventListener("abort", onAbort, { once: true });
    try {
      await stream.announce();
    } catch (error) {
      signal?.throwIfAborted();
      throw error;
    } finally {
      signal?.removeEventListener("abort", onAbort);
    }
    signal?.throwIfAborted();
    return stream;
  }

  accept(): AsyncIterable<SmuxStream> {
    return this.#accepts;
  }

  close(): void {
    if (this.#ended) return;
    for (const stream of this.#accepts.drain()) stream.close();
    this.#end(new AwsocksError("smux-closed", "The multiplexed session was closed"), undefined);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** Ends everything; the first reason wins. */
  #end(error: AwsocksError, reason: Error | undefined): void {
    if (this.#ended) return;
    this.#ended = error;
    this.#keepAlive?.cancel();
    for (const stream of this.#streams.values()) stream.fail(error);
    this.#outbox.fail(error);
    this.#accepts.end();
    this.#conn.close();
    this.#wakeReader.set();
    this.#wakeWriter.set();
    log.debug("Session ended", { role: this.#settings.role, reason });
    this.#closed.resolve(reason);
  }

  #fail(error: unknown): void {
    const failure = isAwsocksError(error)
      ? error
      : new AwsocksError("smux-closed", "The connection under the session failed", {
        cause: error,
      });
    this.#end(failure, failure);
  }

  async #readLoop(): Promise<void> {
    const parser = new FrameParser(this.#settings.version);
    const buffer = new Uint8Array(READ_BYTES);
    try {
      for (;;) {
        while (this.#paused && !this.#ended) await this.#wakeReader.wait();
        if (this.#ended) return;
        const n = await this.#conn.read(buffer);
        if (this.#ended) return;
        if (n === null) return this.#endOfInput(parser.idle);
        this.#silence = 0;
        for (const frame of parser.push(buffer.subarray(0, n))) {
          if (frame.command === Command.Syn && this.#accepts.full) await acceptorsTurn();
          if (this.#ended) return;
          this.#dispatch(frame);
        }
      }
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Version 1 has no other way to hold the peer back. */
  get #paused(): boolean {
    const { version, maxReceiveBuffer } = this.#settings;
    return version === 1 && this.#buffered >= maxReceiveBuffer;
  }

  #endOfInput(complete: boolean): void {
    const what = complete
      ? "The peer closed the connection"
      : "The connection ended inside a frame";
    const error = new AwsocksError("smux-closed", what, {
      facts: { streams: this.#streams.size },
    });
    this.#end(error, complete && this.#streams.size === 0 ? undefined : error);
  }

  #dispatch(frame: Frame): void {
    const { command, streamId } = frame;
    if (command === Command.Syn) return this.#opened(streamId);
    const stream = this.#streams.get(streamId);
    // Frames still under way when a stream ends are no fault: they are dropped.
    if (!stream) return;
    switch (command) {
      case Command.Psh:
        if (!stream.receive(frame.payload)) throw violation(streamId, "more than its window");
        break;
      case Command.Fin:
        stream.finish();
        break;
      case Command.Upd:
        if (!stream.update(readUpdate(frame.payload))) {
          throw violation(streamId, "a window update for bytes that were never sent");
        }
        break;
      case Command.Nop:
        if (this.#settings.halfClose) stream.reset();
        break;
    }
  }

  /** SYN came. */
  #opened(id: number): void {
    const parity = this.#settings.role === "client" ? 0 : 1;
    if (id === 0 || id % 2 !== parity) throw violation(id, "a SYN with an id that is not its own");
    if (this.#streams.has(id)) return;
    if (this.#outbox.controlWaiting > MAX_CONTROL_WAITING + this.#streams.size) {
      throw violation(id, "more than it reads answers to");
    }
    const stream = new Stream(id, this.#host);
    if (this.#streams.size < this.#settings.maxStreams && this.#accepts.push(stream)) {
      this.#streams.set(id, stream);
      return;
    }
    if (this.#refused++ === 0) {
      log.warn("Streams of the peer are refused", {
        open: this.#streams.size,
        maxStreams: this.#settings.maxStreams,
      });
    }
    stream.close();
  }

  async #writeLoop(): Promise<void> {
    const batch = new Uint8Array(this.#outbox.batchBytes);
    try {
      while (!this.#ended) {
        const n = this.#outbox.fill(batch);
        if (n > 0) await writeAll(this.#conn, batch.subarray(0, n));
        this.#outbox.written();
        if (n === 0) await this.#wakeWriter.wait();
      }
    } catch (error) {
      this.#fail(error);
    }
  }

  #tick(): void {
    const { keepAlive } = this.#settings;
    if (!keepAlive) return;
    this.#outbox.addPing();
    // A reader that waits for room hears nothing, which is not the peer's fault.
    if (this.#paused) this.#silence = 0;
    else this.#silence += keepAlive.interval;
    if (keepAlive.timeout === false || this.#silence < keepAlive.timeout) return;
    this.#fail(
      new AwsocksError("smux-closed", `The peer was silent for ${keepAlive.timeout} ms`, {
        facts: { timeout: keepAlive.timeout },
      }),
    );
  }
}

/** Lets those who iterate over `accept()` take what waits, before streams are refused. */
function acceptorsTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function violation(streamId: number, what: string): AwsocksError {
  return new AwsocksError("smux-protocol-error", `The peer sent ${what} on stream ${streamId}`, {
    facts: { streamId },
  });
}
