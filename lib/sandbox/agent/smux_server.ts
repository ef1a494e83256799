/**
 * The multiplexer at the agent's end: smux version 1 with the habits of the Go library that agents
 * have built in. It shares the frame codec with the project's own multiplexer and nothing else.
 *
 * Its habits: one pool of 4 MiB for everything that destinations have not taken, at whose end it stops
 * reading; a close that ends both directions at once; frames for unknown streams are ignored; one frame
 * that is none, and it never reads again, without a word.
 *
 * @module
 */

import { type Clock, type Conn, readFull, type Timer, writeAll } from "../../core/mod.ts";
import { Command, encodeFrame, HEADER_BYTES, UPDATE_BYTES } from "../../smux/frame.ts";

/** Bytes that all streams together may hold. */
export const POOL_BYTES = 4 * 1024 * 1024;
/** Streams that may wait to be accepted; the next one stops the reader. */
const BACKLOG = 1024;
/** Longest payload that is sent. */
const MAX_FRAME_BYTES = 32_768;
const KEEP_ALIVE_INTERVAL_MS = 10_000;
const KEEP_ALIVE_TIMEOUT_MS = 30_000;

/** Options of {@linkcode SmuxServer}. */
export interface SmuxServerOptions {
  readonly clock: Clock;
  readonly keepAlive: boolean;
}

/** A session. */
export class SmuxServer {
  readonly #conn: Conn;
  readonly #streams = new Map<number, ServerStream>();
  readonly #accepts: ServerStream[] = [];
  readonly #timers: Timer[] = [];
  #changed = Promise.withResolvers<void>();
  #pool = POOL_BYTES;
  #heard = false;
  #closed = false;
  /** Frames are written one at a time, in the order of the calls. */
  #writing: Promise<void> = Promise.resolve();

  /** @param conn owned from now on */
  constructor(conn: Conn, { clock, keepAlive }: SmuxServerOptions) {
    this.#conn = conn;
    if (keepAlive) {
      this.#timers.push(
        clock.every(KEEP_ALIVE_INTERVAL_MS, () => void this.write(Command.Nop, 0)),
        clock.every(KEEP_ALIVE_TIMEOUT_MS, () => this.#checkSilence()),
      );
    }
    void this.#receive();
  }

  /** Bytes that may still come in before the reader stops. */
  get pool(): number {
    return this.#pool;
  }

  /** The next stream that the client has opened; null once the session is closed. */
  async accept(): Promise<ServerStream | null> {
    for (;;) {
      const stream = this.#accepts.shift();
      if (this.#closed) return null;
      if (stream) {
        this.#change();
        return stream;
      }
      await this.#changed.promise;
    }
  }

  /** Ends the session and the connection below. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const timer of this.#timers) timer.cancel();
    for (const stream of this.#streams.values()) stream.end();
    this.#conn.close();
    this.#change();
  }

  /** Sends a frame; resolves when the connection has taken it, never rejects. */
  write(command: Command, streamId: number, payload?: Uint8Array): Promise<void> {
    const frame = encodeFrame(1, command, streamId, payload);
    return this.#writing = this.#writing
      .then(() => this.#closed ? undefined : writeAll(this.#conn, frame))
      .catch(() => this.close());
  }

  /** Bytes of a stream are gone: room for as many others. */
  release(bytes: number): void {
    this.#pool += bytes;
    if (this.#pool > 0) this.#change();
  }

  /** Frames for this stream are ignored from now on. */
  forget(stream: ServerStream): void {
    if (this.#streams.get(stream.id) === stream) this.#streams.delete(stream.id);
  }

  async #receive(): Promise<void> {
    const header = new Uint8Array(HEADER_BYTES);
    try {
      for (;;) {
        while (this.#pool <= 0 && !this.#closed) await this.#changed.promise;
        if (this.#closed || !await readFull(this.#conn, header)) return;
        this.#heard = true;
        if (!await this.#frame(header)) return;
      }
    } catch {
      // The connection below is gone: so is everybody who could be told.
    }
  }

  /** @returns false for a frame that is none */
  async #frame(header: Uint8Array): Promise<boolean> {
    const view = new DataView(header.buffer, header.byteOffset);
    const [version, command] = header;
    const length = view.getUint16(2, true);
    const id = view.getUint32(4, true);
    if (version !== 1) return false;
    switch (command) {
      case Command.Nop:
        return true;
      case Command.Syn:
        await this.#opened(id);
        return true;
      case Command.Fin:
        this.#streams.get(id)?.finish();
        return true;
      case Command.Psh: {
        const payload = new Uint8Array(length);
        if (length === 0) return true;
        if (!await readFull(this.#conn, payload)) return false;
        const stream = this.#streams.get(id);
        if (!stream) return true;
        this.#pool -= length;
        stream.receive(payload);
        return true;
      }
      case Command.Upd:
        return await readFull(this.#conn, new Uint8Array(UPDATE_BYTES));
      default:
        return false;
    }
  }

  async #opened(id: number): Promise<void> {
    if (this.#streams.has(id)) return;
    const stream = new ServerStream(id, this);
    this.#streams.set(id, stream);
    while (this.#accepts.length >= BACKLOG && !this.#closed) await this.#changed.promise;
    this.#accepts.push(stream);
    this.#change();
  }

  /** A reader that waits for room in the pool hears nothing, which is not the client's fault. */
  #checkSilence(): void {
    if (!this.#heard && this.#pool > 0) this.close();
    this.#heard = false;
  }

  #change(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers<void>();
  }
}

/** A stream. */
export class ServerStream {
  readonly id: number;
  readonly #server: SmuxServer;
  readonly #buffers: Uint8Array[] = [];
  #ended = false;
  #closed = false;
  #changed = Promise.withResolvers<void>();

  constructor(id: number, server: SmuxServer) {
    this.id = id;
    this.#server = server;
  }

  /** The next piece, which stays in the pool until it is released; null at the end. */
  async read(): Promise<Uint8Array | null> {
    for (;;) {
      const buffer = this.#buffers.shift();
      if (buffer) return buffer;
      if (this.#ended || this.#closed) return null;
      await this.#changed.promise;
    }
  }

  /** Gives the room of a piece back. */
  release(bytes: number): void {
    this.#server.release(bytes);
  }

  /** Sends bytes; resolves when the connection has taken them. */
  async write(data: Uint8Array): Promise<void> {
    for (let at = 0; at < data.byteLength; at += MAX_FRAME_BYTES) {
      if (this.#closed) return;
      await this.#server.write(Command.Psh, this.id, data.slice(at, at + MAX_FRAME_BYTES));
    }
  }

  /** Ends both directions: says so, and drops what came and what is still to come. Idempotent. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#change();
    await this.#server.write(Command.Fin, this.id);
    this.#server.forget(this);
    for (const buffer of this.#buffers.splice(0)) this.#server.release(buffer.byteLength);
  }

  /** PSH came. */
  receive(payload: Uint8Array): void {
    this.#buffers.push(payload);
    this.#change();
  }

  /** FIN came: what was sent before it can still be read. */
  finish(): void {
    this.#ended = true;
    this.#change();
  }

  /** The session has ended. */
  end(): void {
    this.#closed = true;
    this.#change();
  }

  #change(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers<void>();
  }
}
