/**
 * `awsocks config init [FILE]`.
 *
 * @module
 */

import { dirname } from "node:path";
import { AwsocksError, ExitCode } from "../../core/errors.ts";
import { STARTER } from "../../config/mod.ts";
import type { App } from "../app.ts";
import { configFileOf } from "./config_path.ts";
import { configPathOf } from "../settings.ts";

/** Writes a configuration to start from. */
export async function run(app: App): Promise<number> {
  const { command, terminal } = app;
  const path = configFileOf(app, command.arguments[0] ?? configPathOf(app));
  try {
    await Deno.mkdir(dirname(path), { recursive: true, mode: 0o700 });
    // Only the owner reads it: passphrases and passwords may be written into it.
    await Deno.writeTextFile(path, STARTER, { createNew: true, mode: 0o600 });
  } catch (error) {
    throw failure(path, error);
  }
  terminal.stdout.write(`Wrote ${path}\nEdit it, then run: awsocks config check\n`);
  return ExitCode.Ok;
}

function failure(path: string, cause: unknown): AwsocksError {
  if (cause instanceof Deno.errors.AlreadyExists) {
    return new AwsocksError("usage", `${path} exists and is left alone`, { cause });
  }
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new AwsocksError("config-unreadable", `Cannot write ${path}: ${reason}`, { cause });
}
