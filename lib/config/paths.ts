/**
 * Paths in the configuration.
 *
 * @module
 */

import { AwsocksError } from "../core/errors.ts";

/** Environment variables by name. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** Where the configuration comes from when no file is named. */
export interface ConfigHome {
  readonly env: Environment;
  /** Home directory; undefined when it is not known. */
  readonly home: string | undefined;
}

/**
 * `$XDG_CONFIG_HOME/awsocks/config.toml`, else `~/.config/awsocks/config.toml`; undefined without a home.
 * The XDG Base Directory Specification says to ignore a relative XDG_CONFIG_HOME.
 */
export function defaultConfigPath({ env, home }: ConfigHome): string | undefined {
  const xdg = env["XDG_CONFIG_HOME"];
  const base = xdg?.startsWith("/") ? xdg : home && `${home}/.config`;
  return base && `${base.replace(/\/+$/, "")}/awsocks/config.toml`;
}

/**
 * Replaces a leading `~` by the home directory.
 * @throws AwsocksError `config-invalid` for `~user`, or when there is no home directory
 */
export function expandHome(path: string, home: string | undefined): string {
  if (!path.startsWith("~")) return path;
  if (!/^~(?:[/\\]|$)/.test(path)) {
    throw new AwsocksError(
      "config-invalid",
      `Cannot expand ${path}: only ~ and ~/ stand for a home directory`,
      { hint: "" },
    );
  }
  if (!home) {
    throw new AwsocksError(
      "config-invalid",
      `Cannot expand ${path}: the home directory is unknown`,
      {
        hint: "set HOME",
      },
    );
  }
  return home.replace(/[/\\]+$/, "") + path.slice(1);
}
