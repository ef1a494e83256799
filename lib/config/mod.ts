/**
 * Configuration: the file, its keys, and the merge of all levels into one {@linkcode Settings}.
 *
 * TOML parser and schema are loaded when there is a file to read.
 *
 * @module
 */

export {
  CONFIG_KEYS,
  type ConfigKey,
  type ConfigValue,
  findKey,
  INSTANCE_CONNECT,
  type KeyName,
  type KnownKey,
} from "./keys.ts";
export { type FlagValues, type Origin, ORIGINS, type ResolveOptions } from "./levels.ts";
export { type ConfigFile, loadConfig, type LoadConfigOptions } from "./load.ts";
export { nearest, suggestion } from "./nearest.ts";
export type { Layer } from "./parse.ts";
export { defaultConfigPath, type Environment, expandHome } from "./paths.ts";
export { type ResolvedSettings, resolveSettings } from "./resolve.ts";
export type { Endpoints, RoutingSettings, Settings } from "./settings.ts";
export { STARTER } from "./starter.ts";
export type { PatternValidator } from "./values.ts";
