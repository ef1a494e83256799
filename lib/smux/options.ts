/**
 * Options of a session and what they are when not given.
 *
 * @module
 */

import { type Clock, systemClock } from "../core/mod.ts";
import { MAX_PAYLOAD_BYTES, type SmuxVersion } from "./frame.ts";

/** How a session keeps its connection alive and notices that the peer is gone. */
export interface KeepAlive {
  /** Milliseconds between two NOP frames. */
  readonly interval: number;
  /**
   * Milliseconds without any frame after which the session fails; false for never, as some SSM
   * agents send no NOP. Checked at each interval.
   */
  readonly timeout: number | false;
}

/** Options of {@linkcode createSmuxSession}. */
export interface SmuxOptions {
  /** Decides the stream ids: odd from 3 for the client, even from 2 for the server. */
  readonly role: "client" | "server";
  /** Protocol version; 1 has no windows. The peer must be told the same. */
  readonly version: SmuxVersion;
  /**
   * What FIN means. True: the end of the sender's output, the other direction goes on. False: the end
   * of the stream, as SSM agents take it; `closeWrite()` then sends nothing, since a FIN would cut off
   * the answer, and whoever called it sees to it that the stream is closed should the peer never end
   * it. Default: true for version 2, false for version 1.
   */
  readonly halfClose?: boolean;
  /**
   * Longest PSH payload sent, 1 to 65,535 bytes; default 32,768. Four such frames go into one write
   * of the connection, and that is what a new stream may have to wait for: take less on a slow one.
   */
  readonly maxFrameSize?: number;
  /**
   * Version 1: unread bytes of all streams beyond which the session stops reading, by up to one
   * read; default 4 MiB. Version 2: bytes by which the windows of all streams together may exceed
   * their initial 256 KiB each; default 32 MiB. Nothing the peer does can make it hold more than this
   * and the initial windows of its streams.
   */
  readonly maxReceiveBuffer?: number;
  /**
   * Version 2: largest window of a stream in bytes. A stream moves at most one window per round
   * trip: the default of 1 MiB is 26 MB/s at 40 ms.
   */
  readonly maxStreamBuffer?: number;
  /** Streams of the peer that may be open at a time; more are refused. Default 4096. */
  readonly maxStreams?: number;
  /** Streams that wait for `accept()`; more are refused. Default 256. */
  readonly acceptBacklog?: number;
  /** Default: a NOP every 10 s; version 2 fails after 30 s of silence, version 1 never. */
  readonly keepAlive?: KeepAlive | false;
  /** Where time comes from. */
  readonly clock?: Clock;
}

/** {@linkcode SmuxOptions} with nothing left open. */
export interface SmuxSettings extends Required<SmuxOptions> {
  /** Value at which the byte counters of streams start, so that tests need not move 4 GiB. */
  readonly counterStart: number;
}

const MIB = 1024 * 1024;

/**
 * Fills in what was not given.
 * @throws RangeError for a value that makes no sense
 */
export function smuxSettings(options: SmuxOptions): SmuxSettings {
  const v2 = options.version === 2;
  const settings: SmuxSettings = {
    role: options.role,
    version: options.version,
    halfClose: options.halfClose ?? v2,
    maxFrameSize: options.maxFrameSize ?? 32_768,
    maxReceiveBuffer: options.maxReceiveBuffer ?? (v2 ? 32 * MIB : 4 * MIB),
    maxStreamBuffer: options.maxStreamBuffer ?? MIB,
    maxStreams: options.maxStreams ?? 4096,
    acceptBacklog: options.acceptBacklog ?? 256,
    keepAlive: options.keepAlive ?? { interval: 10_000, timeout: v2 && 30_000 },
    clock: options.clock ?? systemClock,
    counterStart: 0,
  };
  check(settings);
  return settings;
}

function check(settings: SmuxSettings): void {
  const within = (name: keyof SmuxSettings, low: number, high: number) => {
    const value = settings[name];
    if (!Number.isInteger(value) || Number(value) < low || Number(value) > high) {
      throw new RangeError(`${name} must be a whole number from ${low} to ${high}`);
    }
  };
  within("version", 1, 2);
  within("maxFrameSize", 1, MAX_PAYLOAD_BYTES);
  within("maxReceiveBuffer", settings.version === 1 ? 1 : 0, 2 ** 31 - 1);
  within("maxStreamBuffer", 1, 2 ** 31 - 1);
  within("maxStreams", 0, 2 ** 31);
  within("acceptBacklog", 0, 2 ** 31);
  const { keepAlive } = settings;
  if (!keepAlive) return;
  if (!(keepAlive.interval > 0)) throw new RangeError("keepAlive.interval must be positive");
  if (keepAlive.timeout !== false && !(keepAlive.timeout > keepAlive.interval)) {
    throw new RangeError("keepAlive.timeout must be longer than keepAlive.interval");
  }
}
