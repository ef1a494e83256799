/**
 * Logging: one LogTape category per room, human text or JSON lines, secrets redacted by field.
 *
 * Rooms call {@linkcode getLog} and log structured records, one line per state change. Only `cli`
 * calls {@linkcode configureLogging}; until then nothing is written.
 *
 * @module
 */

import {
  configure,
  getLogger,
  type Logger,
  type LogLevel as TapeLevel,
  type LogRecord,
} from "@logtape/logtape";

/** A room's logger. */
export type Log = Logger;

/** Levels of `--log-level`, most talkative first. */
export const LOG_LEVELS = ["trace", "debug", "info", "warn", "error"] as const;

/** A level of `--log-level`. */
export type LogLevel = typeof LOG_LEVELS[number];

/** The logger of a room: category `awsocks`, then the room's folder name. */
export function getLog(room: string): Log {
  return getLogger(["awsocks", room]);
}

/** Options of {@linkcode configureLogging}. */
export interface LoggingOptions {
  /** Lowest level that is written; default `info`. */
  readonly level?: LogLevel;
  /** Levels of single rooms, above or below `level`. */
  readonly rooms?: Readonly<Record<string, LogLevel>>;
  /** `text` for people (default), `json` for one object a line. */
  readonly format?: "text" | "json";
  /** ANSI colours in text. */
  readonly color?: boolean;
  /** Takes each finished line, without the line end. */
  readonly write: (line: string) => void;
}

/** Sets up logging for the whole process; may be called again. */
export async function configureLogging(options: LoggingOptions): Promise<void> {
  const format = options.format === "json"
    ? formatJson
    : (record: LogRecord) => formatText(record, options.color ?? false);
  const sink = (record: LogRecord) => options.write(format(record));
  await configure({
    reset: true,
    sinks: { out: sink },
    loggers: [
      { category: ["logtape", "meta"], sinks: ["out"], lowestLevel: "error" },
      {
        category: ["awsocks"],
        sinks: ["out"],
        lowestLevel: tapeLevel(options.level ?? "info"),
      },
      ...Object.entries(options.rooms ?? {}).map(([room, level]) => ({
        category: ["awsocks", room],
        sinks: ["out"],
        parentSinks: "override" as const,
        lowestLevel: tapeLevel(level),
      })),
    ],
  });
}

function tapeLevel(level: LogLevel): TapeLevel {
  return level === "warn" ? "warning" : level;
}

const SECRET_FIELD =
  /secret|token|passphrase|password|private.?key|authorization|session.?key|credential(?!s?.?(source|file|expir))/i;

/** Written in place of a secret. */
export const REDACTED = "[redacted]";

/**
 * A copy of a log record's property with every field whose name says secret replaced, at any depth.
 * Errors become their message and code, byte arrays their length.
 */
export function redact(value: unknown, field = "", depth = 0): unknown {
  if (value !== undefined && value !== null && SECRET_FIELD.test(field)) return REDACTED;
  if (typeof value === "bigint") return value.toString();
  if (typeof value !== "object" || value === null) return value;
  if (depth > 4) return "…";
  if (value instanceof Uint8Array) return `${value.byteLength} bytes`;
  if (value instanceof Date) return value.toISOString();
  if (value instanceof Error) {
    const code = (value as { code?: unknown }).code;
    return typeof code === "string" ? `${value.message} (${code})` : value.message || value.name;
  }
  if (Array.isArray(value)) return value.map((item) => redact(item, field, depth + 1));
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [key, redact(item, key, depth + 1)]),
  );
}

function roomOf(record: LogRecord): string {
  return record.category.slice(1).join(".") || record.category.join(".");
}

function levelName(record: LogRecord): string {
  return record.level === "warning" ? "warn" : record.level;
}

/** LogTape alternates literal parts and values; the values pass through {@linkcode redact}. */
function messageOf(record: LogRecord): string {
  const template = typeof record.rawMessage === "string" ? record.rawMessage : "";
  const names = [...template.matchAll(/(?<!\{)\{([^{}]+)\}(?!\})/g)].map((match) =>
    match[1]!.trim()
  );
  return record.message
    .map((part, index) => {
      if (index % 2 === 0) return String(part);
      return text(redact(part, names[(index - 1) / 2] ?? ""));
    })
    .join("");
}

function text(value: unknown): string {
  return typeof value === "object" && value !== null ? JSON.stringify(value) : String(value);
}

function quote(value: string): string {
  return /[\s"=]/.test(value) || value === "" ? JSON.stringify(value) : value;
}

/** Properties that the message template does not show already. */
function extras(record: LogRecord): [string, unknown][] {
  const template = typeof record.rawMessage === "string" ? record.rawMessage : "";
  return Object.entries(record.properties)
    .filter(([key, value]) => value !== undefined && !template.includes(`{${key}}`))
    .map(([key, value]) => [key, redact(value, key)]);
}

const COLORS: Record<string, string> = {
  trace: "\x1b[90m",
  debug: "\x1b[36m",
  info: "\x1b[32m",
  warn: "\x1b[33m",
  error: "\x1b[31m",
  fatal: "\x1b[31m",
};

/** `12:34:56.789 INFO  ssm  Session resumed attempt=2`, on one line. */
export function formatText(record: LogRecord, color: boolean): string {
  const time = new Date(record.timestamp).toISOString().slice(11, 23);
  const level = levelName(record);
  const label = level.toUpperCase().padEnd(5);
  const fields = extras(record).map(([key, value]) => ` ${key}=${quote(text(value))}`).join("");
  const line = `${messageOf(record)}${fields}`.replaceAll(/[\r\n]+/g, " ");
  const head = color
    ? `\x1b[90m${time}\x1b[0m ${COLORS[level] ?? ""}${label}\x1b[0m`
    : `${time} ${label}`;
  return `${head} ${roomOf(record).padEnd(11)} ${line}`;
}

/** One JSON object: `time`, `level`, `room`, `message`, then the record's properties. */
export function formatJson(record: LogRecord): string {
  return JSON.stringify({
    time: new Date(record.timestamp).toISOString(),
    level: levelName(record),
    room: roomOf(record),
    message: messageOf(record),
    ...Object.fromEntries(
      Object.entries(record.properties).map(([key, value]) => [key, redact(value, key)]),
    ),
  });
}
