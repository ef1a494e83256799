/**
 * Every flag of the command line, once: what it takes, where it belongs in the help, what it says
 * there. The parser, the help texts and the tests all read this table.
 *
 * @module
 */

import { LOG_LEVELS } from "../core/log.ts";

/**
 * What a flag takes.
 *
 * - `boolean`: `--x`, `--no-x`, `--x=true`, `--x=false`
 * - `string`: one value; the last one given counts
 * - `integer`: a whole number between `min` and `max`
 * - `list`: repeatable, and each value may hold several, separated by commas
 * - `optional`: `--x` alone or `--x=value`
 */
export type FlagKind = "boolean" | "string" | "integer" | "list" | "optional";

/** Headings of the help, in their order. */
export const FLAG_GROUPS = [
  "Where to connect",
  "SSH",
  "Proxy",
  "Routing",
  "Sandbox",
  "Output",
] as const;

/** One flag. */
export interface FlagSpec {
  readonly name: string;
  readonly short?: string;
  readonly kind: FlagKind;
  /** What the help calls the value. */
  readonly value?: string;
  /** The values allowed. */
  readonly choices?: readonly string[];
  readonly min?: number;
  readonly max?: number;
  readonly group: typeof FLAG_GROUPS[number];
  /** Help text, without a full stop. */
  readonly text: string;
  /** The flag is a key of the configuration: it goes to the settings under its own name. */
  readonly setting?: boolean;
  /** The value is a secret that a process list would show. Names what to use in its place. */
  readonly exposes?: string;
  /** The help shows it with `--no-` too: it is on by default, or overrules a profile that has it. */
  readonly negatable?: boolean;
  /** Left out of the help. */
  readonly hidden?: boolean;
}

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
  {
    name: "instance-id",
    short: "i",
    kind: "string",
    value: "ID",
    group: "Where to connect",
    setting: true,
    text: "EC2 instance (i-…) or managed instance (mi-…)",
  },
  {
    name: "name",
    short: "n",
    kind: "string",
    value: "NAME",
    group: "Where to connect",
    setting: true,
    text: "instance by its Name tag; * and ? are wildcards",
  },
  {
    name: "region",
    short: "r",
    kind: "string",
    value: "REGION",
    group: "Where to connect",
    setting: true,
    text: "AWS region; else AWS_REGION, else the AWS profile's",
  },
  {
    name: "aws-profile",
    kind: "string",
    value: "NAME",
    group: "Where to connect",
    setting: true,
    text: "AWS profile with the credentials; else AWS_PROFILE",
  },
  {
    name: "auto-start",
    kind: "boolean",
    negatable: true,
    group: "Where to connect",
    setting: true,
    text: "start the instance if it is stopped",
  },
  {
    name: "auto-stop",
    kind: "boolean",
    negatable: true,
    group: "Where to connect",
    setting: true,
    text: "on the way out, stop the instance if this run started it",
  },
  {
    name: "mode",
    short: "m",
    kind: "string",
    value: "MODE",
    choices: ["direct", "vm"],
    group: "Where to connect",
    setting: true,
    text: "direct: all in this process (default) · vm: inside a small virtual machine",
  },
  {
    name: "backend",
    short: "b",
    kind: "string",
    value: "KIND",
    choices: ["auto", "ssh", "ssm"],
    group: "Where to connect",
    setting: true,
    text: "auto (default) or ssh; ssm is another word for auto",
  },
  {
    name: "config",
    short: "c",
    kind: "string",
    value: "FILE",
    group: "Where to connect",
    text: "configuration file; default ~/.config/awsocks/config.toml",
  },
  {
    name: "ssh-user",
    short: "u",
    kind: "string",
    value: "USER",
    group: "SSH",
    setting: true,
    text: "user on the instance; default ec2-user",
  },
  {
    name: "ssh-key",
    short: "k",
    kind: "string",
    value: "FILE",
    group: "SSH",
    setting: true,
    text: "private key; default: keys of the ssh-agent and in ~/.ssh",
  },
  {
    name: "ssh-key-passphrase",
    kind: "string",
    value: "TEXT",
    group: "SSH",
    setting: true,
    exposes: "the prompt, or SSH_KEY_PASSPHRASE",
    text: "passphrase of the key; better the prompt or SSH_KEY_PASSPHRASE",
  },
  {
    name: "known-hosts",
    kind: "string",
    value: "FILE",
    group: "SSH",
    setting: true,
    text: "host keys that are known; default ~/.ssh/known_hosts",
  },
  {
    name: "remote-port",
    short: "p",
    kind: "integer",
    value: "PORT",
    min: 1,
    max: 65535,
    group: "SSH",
    setting: true,
    text: "port of sshd on the instance; default 22",
  },
  {
    name: "compression",
    kind: "boolean",
    negatable: true,
    group: "SSH",
    setting: true,
    text: "compress inside the session; on by default",
  },
  {
    name: "listen",
    short: "l",
    kind: "string",
    value: "ADDR",
    group: "Proxy",
    setting: true,
    text: "host:port to listen on; default 127.0.0.1:1080, port 0 takes a free one",
  },
  {
    name: "lazy",
    kind: "boolean",
    negatable: true,
    group: "Proxy",
    setting: true,
    text: "touch AWS with the first request only (default), or connect at once",
  },
  {
    name: "lazy-until-ready",
    kind: "string",
    value: "WHAT",
    choices: ["direct", "wait"],
    group: "Proxy",
    setting: true,
    text: "what hosts without a rule do until AWS is reached: direct (default) or wait",
  },
  {
    name: "proxy-user",
    kind: "string",
    value: "USER",
    group: "Proxy",
    setting: true,
    text: "user that clients of the proxy must give",
  },
  {
    name: "proxy-password",
    kind: "string",
    value: "TEXT",
    group: "Proxy",
    setting: true,
    exposes: "AWSOCKS_PROXY_PASSWORD",
    text: "its password; better AWSOCKS_PROXY_PASSWORD",
  },
  {
    name: "allow-open",
    kind: "boolean",
    group: "Proxy",
    setting: true,
    text: "allow an address beyond loopback without user and password",
  },
  {
    name: "max-connections",
    kind: "integer",
    value: "N",
    min: 1,
    max: 65535,
    group: "Proxy",
    setting: true,
    text: "connections at a time; default 4096",
  },
  {
    name: "connect-timeout",
    kind: "integer",
    value: "SECONDS",
    min: 1,
    max: 3600,
    group: "Proxy",
    setting: true,
    text: "how long a request waits for a session that is not up; default 120",
  },
  {
    name: "route-default",
    kind: "string",
    value: "ROUTE",
    choices: ["proxy", "direct", "vm-direct", "block"],
    group: "Routing",
    setting: true,
    text: "route of what no pattern matches; default proxy",
  },
  {
    name: "route-proxy",
    kind: "list",
    value: "PATTERN",
    group: "Routing",
    setting: true,
    text: "through the instance (repeatable)",
  },
  {
    name: "route-direct",
    kind: "list",
    value: "PATTERN",
    group: "Routing",
    setting: true,
    text: "straight from this machine (repeatable)",
  },
  {
    name: "route-vm-direct",
    kind: "list",
    value: "PATTERN",
    group: "Routing",
    setting: true,
    text: "from the virtual machine's own network (repeatable)",
  },
  {
    name: "route-block",
    kind: "list",
    value: "PATTERN",
    group: "Routing",
    setting: true,
    text: "not at all (repeatable)",
  },
  {
    name: "fallback",
    kind: "boolean",
    negatable: true,
    group: "Routing",
    setting: true,
    text: "go direct where the instance has no way to the network; on by default",
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
