/**
 * `awsocks config path`.
 *
 * @module
 */

import { AwsocksError, ExitCode } from "../../core/errors.ts";
import { defaultConfigPath, expandHome } from "../../config/mod.ts";
import type { App } from "../app.ts";
import { configPathOf, homeOf } from "../settings.ts";

/** Prints where the configuration is looked for. */
export function run(app: App): Promise<number> {
  app.terminal.stdout.write(`${configFileOf(app)}\n`);
  return Promise.resolve(ExitCode.Ok);
}

/**
 * The configuration file by name: the one given, else the usual one.
 * @throws AwsocksError `usage` without a home directory
 */
export function configFileOf(app: App, given = configPathOf(app)): string {
  const { env } = app.terminal;
  const home = homeOf(env);
  const path = given === undefined ? defaultConfigPath({ env, home }) : expandHome(given, home);
  if (path !== undefined) return path;
  throw new AwsocksError(
    "usage",
    "Cannot tell where the configuration is: there is no home directory",
    {
      hint: "set HOME, or name a file with --config",
    },
  );
}
