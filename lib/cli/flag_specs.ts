/**
 * Every flag of the command line, once: what it takes, where it belongs in the help, what it says
 * there. The parser, the help texts and the tests all read this table.
 *
 * @module
 */

import { LOG_LEVELS } from "../core/log.ts";
import type { FlagSpec } from "./flag_spec.ts";
import { SETTING_FLAGS } from "./setting_flags.ts";

/** Rooms whose level can be set with `--log-level ROOM=LEVEL`. */
export const LOG_ROOMS = [
  "aws",
  "backend",
  "cli",
  "config",
  "credentials",
  "ec2",
  "exec",
  "guest",
  "protocol",
  "proxy",
  "routing",
  "sandbox",
  "smux",
  "ssh",
  "ssm",
  "vm",
  "vsock",
] as const;

/** Every flag. */
export const FLAGS: readonly FlagSpec[] = [
  ...SETTING_FLAGS,
  {
    name: "config",
    short: "c",
    kind: "string",
    value: "FILE",
    group: "Where to connect",
    text: "configuration file; default ~/.config/awsocks/config.toml",
  },
  {
    name: "connect",
    kind: "string",
    value: "ADDR",
    group: "Where to connect",
    text: "connect to this address, where a vsock-client --listen waits",
  },
  {
    name: "persistent",
    kind: "boolean",
    group: "Where to connect",
    text: "ask for commands, or read them line by line, and run one after the other",
  },
  {
    name: "wait",
    kind: "integer",
    value: "SECONDS",
    max: 1_000_000_000,
    group: "Where to connect",
    text: "wait so long for the other side; default: a client without limit, --connect not at all",
  },
  {
    name: "sandbox",
    kind: "optional",
    value: "SWITCHES",
    group: "Sandbox",
    text: "use the built-in AWS to try things on; switches: see awsocks help sandbox",
  },
  {
    name: "switches",
    kind: "list",
    value: "SWITCHES",
    group: "Sandbox",
    text: "how the sandbox behaves, such as pace=on,drop=0.01; see awsocks help sandbox",
  },
  {
    name: "sshd",
    kind: "string",
    value: "ADDR",
    group: "Sandbox",
    text: "host:port of a real sshd that plays the instance's port 22",
  },
  {
    name: "once",
    kind: "boolean",
    group: "Sandbox",
    text: "exit when the page has been fetched",
  },
  {
    name: "format",
    kind: "string",
    value: "FORMAT",
    choices: ["text", "json"],
    group: "Output",
    text: "text for people (default) or json",
  },
  {
    name: "verbose",
    short: "v",
    kind: "boolean",
    group: "Output",
    text: "the same as --log-level debug",
  },
  {
    name: "log-level",
    kind: "list",
    value: "LEVEL",
    group: "Output",
    text: `${LOG_LEVELS.join(", ")}; or ROOM=LEVEL for one room, such as ssm=debug (repeatable)`,
  },
  {
    name: "log-format",
    kind: "string",
    value: "FORMAT",
    choices: ["text", "json"],
    group: "Output",
    text: "text for people (default) or one JSON object a line",
  },
  {
    name: "quiet",
    short: "q",
    kind: "boolean",
    group: "Output",
    text: "warnings and errors only, and no text at the start",
  },
  {
    name: "color",
    kind: "boolean",
    negatable: true,
    group: "Output",
    text: "colours; by default on a terminal, NO_COLOR and FORCE_COLOR respected",
  },
  {
    name: "help",
    short: "h",
    kind: "boolean",
    group: "Output",
    text: "show help",
  },
  {
    name: "version",
    short: "V",
    kind: "boolean",
    group: "Output",
    text: "show the version",
    hidden: true,
  },
  {
    name: "routing-config",
    kind: "string",
    group: "Routing",
    text: "accepted for the sake of old scripts; has no effect",
    hidden: true,
  },
];

const BY_NAME = new Map(FLAGS.map((flag) => [flag.name, flag]));

/** The flag with this name, without its dashes. */
export function flagNamed(name: string): FlagSpec | undefined {
  return BY_NAME.get(name);
}
