/**
 * The guest's log: on its console for whoever looks, and over the tunnel for the host.
 *
 * @module
 */

import { configureLogging, type LogLevel } from "../core/mod.ts";
import type { GuestLogLevels, GuestLogRecord } from "../protocol/mod.ts";

/** Lines that wait for the first tunnel. */
const MAX_EARLY = 200;

/** Takes lines for the host. */
export interface LogTaker {
  log(record: GuestLogRecord): void;
}

/** Options of {@linkcode GuestLog}. */
export interface GuestLogOptions {
  /** Takes lines for people, without line ends. */
  readonly write: (line: string) => void;
}

/** Where the log goes. */
export class GuestLog {
  readonly #write: (line: string) => void;
  #early: GuestLogRecord[] = [];
  #taker: LogTaker | undefined;

  constructor(options: GuestLogOptions) {
    this.#write = options.write;
  }

  /** Logs from now on, at these levels; may be called again. */
  async configure(levels: GuestLogLevels): Promise<void> {
    await configureLogging({
      ...levels,
      format: "json",
      write: (line) => this.#take(line),
    });
  }

  /** A tunnel has come: it gets what waits, and every line from now on. */
  attach(taker: LogTaker): void {
    this.#taker = taker;
    for (const record of this.#early.splice(0)) taker.log(record);
  }

  /** The tunnel has gone. */
  detach(): void {
    this.#taker = undefined;
  }

  #take(line: string): void {
    const record = recordOf(line);
    this.#write(consoleLine(record));
    if (this.#taker) return this.#taker.log(record);
    this.#early.push(record);
    if (this.#early.length > MAX_EARLY) this.#early.shift();
  }
}

/** A line of `configureLogging` in the shape of the tunnel. */
export function recordOf(line: string): GuestLogRecord {
  const { time, level, room, message, ...rest } = JSON.parse(line) as Record<string, unknown>;
  const fields = Object.entries(rest).filter(([, value]) => value !== null).map(([key, value]) => [
    key,
    ["string", "number", "boolean"].includes(typeof value) ? value : JSON.stringify(value),
  ]);
  return {
    time: Date.parse(String(time)),
    level: level as LogLevel,
    room: String(room),
    message: String(message),
    ...(fields.length > 0 && { fields: Object.fromEntries(fields) }),
  };
}

/** `12:34:56.789 INFO  ssm  Session resumed attempt=2`, as on the host. */
function consoleLine({ time, level, room, message, fields = {} }: GuestLogRecord): string {
  const at = new Date(time).toISOString().slice(11, 23);
  const extras = Object.entries(fields)
    // What the message shows already is not said twice.
    .filter(([, value]) => !message.includes(String(value)))
    .map(([key, value]) =>
      ` ${key}=${/[\s"=]/.test(String(value)) ? JSON.stringify(value) : value}`
    );
  const line = `${message}${extras.join("")}`.replaceAll(/[\r\n]+/g, " ");
  return `${at} ${level.toUpperCase().padEnd(5)} ${room.padEnd(11)} ${line}`;
}
