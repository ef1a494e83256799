/**
 * Reads the configuration file: the only I/O of this room.
 *
 * @module
 */

import { AwsocksError } from "../core/errors.ts";
import { CONFIG_KEYS } from "./keys.ts";
import type { Layer, ParsedConfig } from "./parse.ts";
import { type ConfigHome, defaultConfigPath, expandHome } from "./paths.ts";
import type { PatternValidator } from "./values.ts";

/** Options of {@linkcode loadConfig}. */
export interface LoadConfigOptions extends ConfigHome {
  /** File named by the user, which then has to exist; a leading `~` is expanded. */
  readonly path?: string | undefined;
  /** Checks routing patterns; without it any text passes. */
  readonly validatePattern?: PatternValidator | undefined;
}

/** The configuration file, checked. Empty when the default file does not exist. */
export interface ConfigFile extends ParsedConfig {
  /** The file read or looked for; undefined when there is not even a home directory. */
  readonly path: string | undefined;
  readonly exists: boolean;
  /** What deserves a warning, one line each. */
  readonly notices: readonly string[];
}

/** A configuration file is a page or two; what is larger is some other file. */
const MAX_BYTES = 1024 * 1024;

/**
 * Reads and checks the configuration.
 * @throws AwsocksError `config-unreadable`, or `config-invalid` with a line for each problem
 */
export async function loadConfig(options: LoadConfigOptions): Promise<ConfigFile> {
  const explicit = options.path !== undefined;
  const path = explicit ? expandHome(options.path, options.home) : defaultConfigPath(options);
  const none = {
    path,
    exists: false,
    defaults: {},
    profiles: new Map<string, Layer>(),
    notices: [],
  };
  if (path === undefined) return none;
  const file = await readFile(path);
  if (!file) {
    if (!explicit) return none;
    throw new AwsocksError("config-unreadable", `Configuration file ${path} does not exist`, {
      hint: "`awsocks config init` writes one to start from",
      facts: { path },
    });
  }
  const { parseConfig } = await import("./parse.ts");
  const parsed = parseConfig(file.text, { path, validatePattern: options.validatePattern });
  return { path, exists: true, ...parsed, notices: secretNotices(path, file.mode, parsed) };
}

async function readFile(path: string): Promise<{ text: string; mode: number | null } | undefined> {
  const fail = (reason: string, cause?: unknown) =>
    new AwsocksError("config-unreadable", `Cannot read configuration file ${path}: ${reason}`, {
      cause,
      facts: { path },
    });
  let bytes: Uint8Array;
  let mode: number | null;
  try {
    const info = await Deno.stat(path);
    if (info.isDirectory) throw fail("it is a directory");
    if (info.size > MAX_BYTES) throw fail(`it is larger than ${MAX_BYTES} bytes`);
    mode = info.mode;
    bytes = await Deno.readFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    if (error instanceof AwsocksError) throw error;
    const denied = error instanceof Deno.errors.PermissionDenied ||
      error instanceof Deno.errors.NotCapable;
    throw fail(denied ? "permission denied" : (error as Error).message, error);
  }
  try {
    return { text: new TextDecoder("utf-8", { fatal: true }).decode(bytes), mode };
  } catch (error) {
    throw fail("it is not UTF-8", error);
  }
}

const GROUP_OR_OTHERS_READ = 0o044;

function secretNotices(path: string, mode: number | null, parsed: ParsedConfig): string[] {
  if (mode === null || (mode & GROUP_OR_OTHERS_READ) === 0) return [];
  const layers = [parsed.defaults, ...parsed.profiles.values()];
  const secrets = CONFIG_KEYS.filter((key) =>
    key.secret && layers.some((layer) => layer[key.key] !== undefined)
  ).map(({ key }) => key);
  if (secrets.length === 0) return [];
  return [
    `${path} holds ${secrets.join(" and ")} and can be read by other users; run: chmod 600 ${path}`,
  ];
}
