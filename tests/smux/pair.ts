/**
 * Sessions and peers for the tests of the multiplexer.
 *
 * @module
 */

import { type Conn, connPair, writeAll } from "../../lib/core/mod.ts";
import {
  createSmuxSession,
  type Frame,
  FrameParser,
  type SmuxOptions,
  type SmuxSession,
  type SmuxVersion,
} from "../../lib/smux/mod.ts";

/** Options that both ends share. */
export type Shared = Omit<SmuxOptions, "role">;

/** A session at each end of an in-memory connection; no keep-alive unless asked for. */
export function sessionPair(
  options: Shared,
  wrap: (conn: Conn, end: number) => Conn = (conn) => conn,
): { client: SmuxSession; server: SmuxSession } & Disposable {
  const [a, b] = connPair();
  const client = createSmuxSession(wrap(a, 0), { keepAlive: false, ...options, role: "client" });
  const server = createSmuxSession(wrap(b, 1), { keepAlive: false, ...options, role: "server" });
  const close = () => {
    client.close();
    server.close();
  };
  return { client, server, [Symbol.dispose]: close };
}

/** A peer that sends and sees frames. */
export class RawPeer implements Disposable {
  readonly conn: Conn;
  readonly #parser: FrameParser;
  readonly #frames: Frame[] = [];
  readonly #buffer = new Uint8Array(65_536);

  constructor(conn: Conn, version: SmuxVersion) {
    this.conn = conn;
    this.#parser = new FrameParser(version);
  }

  /** Sends bytes as they are. */
  send(...parts: Uint8Array[]): Promise<void> {
    return parts.reduce(
      (before, part) => before.then(() => writeAll(this.conn, part)),
      Promise.resolve(),
    );
  }

  /** The next frame; a PSH may be a part of one. Undefined at the end of input. */
  async next(): Promise<Frame | undefined> {
    while (this.#frames.length === 0) {
      const n = await this.conn.read(this.#buffer);
      if (n === null) return undefined;
      this.#frames.push(...this.#parser.push(this.#buffer.slice(0, n)));
    }
    return this.#frames.shift();
  }

  /** The next frames as [command, stream id, length of the payload]. */
  async expect(count: number): Promise<[number, number, number][]> {
    const list: [number, number, number][] = [];
    while (list.length < count) {
      const frame = await this.next();
      if (!frame) break;
      list.push([frame.command, frame.streamId, frame.payload.byteLength]);
    }
    return list;
  }

  [Symbol.dispose](): void {
    this.conn.close();
  }
}

/** A session and a {@linkcode RawPeer} on the other end. */
export function withRawPeer(
  options: SmuxOptions,
  highWater?: number,
): { session: SmuxSession; peer: RawPeer } & Disposable {
  const [a, b] = connPair(highWater);
  const session = createSmuxSession(a, { keepAlive: false, ...options });
  const peer = new RawPeer(b, options.version);
  const close = () => {
    session.close();
    peer.conn.close();
  };
  return { session, peer, [Symbol.dispose]: close };
}

/** The next stream that the peer of `session` opens. */
export async function acceptOne(session: SmuxSession) {
  const { value, done } = await session.accept()[Symbol.asyncIterator]().next();
  if (done || !value) throw new Error("The session has ended");
  return value;
}
