/**
 * `--verbose`, `--quiet`, `--log-level`, `--log-format` → what the log room is told.
 *
 * @module
 */

import { LOG_LEVELS, type LogLevel } from "../core/log.ts";
import { LOG_ROOMS } from "./flag_specs.ts";
import type { FlagValues } from "./flag_values.ts";
import { UsageError } from "./usage_error.ts";

/** Levels and format of the log. */
export interface LogChoice {
  readonly level: LogLevel;
  readonly rooms: Readonly<Record<string, LogLevel>>;
  readonly format: "text" | "json";
}

/**
 * The log as the flags want it.
 * @param fallback level when no flag says one
 * @throws UsageError for an unknown level or room
 */
export function logChoice(flags: FlagValues, fallback: LogLevel = "info"): LogChoice {
  let level = flags["quiet"] === true ? "warn" : flags["verbose"] === true ? "debug" : fallback;
  const rooms: Record<string, LogLevel> = {};
  for (const item of flags["log-level"] as readonly string[] | undefined ?? []) {
    const at = item.indexOf("=");
    if (at < 0) level = levelOf(item);
    else rooms[roomOf(item.slice(0, at))] = levelOf(item.slice(at + 1));
  }
  return { level, rooms, format: flags["log-format"] === "json" ? "json" : "text" };
}

function levelOf(text: string): LogLevel {
  const level = text.toLowerCase() === "warning" ? "warn" : text.toLowerCase();
  const found = LOG_LEVELS.find((known) => known === level);
  if (found) return found;
  throw new UsageError(`--log-level is one of ${LOG_LEVELS.join(", ")}, not "${text}"`, {
    word: level,
    candidates: LOG_LEVELS,
  });
}

function roomOf(text: string): string {
  if (LOG_ROOMS.some((room) => room === text)) return text;
  throw new UsageError(`--log-level ROOM=LEVEL: there is no room "${text}"`, {
    word: text,
    candidates: LOG_ROOMS,
    otherwise: `the rooms are ${LOG_ROOMS.join(", ")}`,
  });
}
