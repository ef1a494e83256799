/**
 * Every command of the command line: its words, its arguments, the flags it knows, its examples.
 *
 * @module
 */

import type { LogLevel } from "../core/log.ts";
import type { FLAG_GROUPS, FlagSpec } from "./flag_spec.ts";
import { FLAGS } from "./flag_specs.ts";

/** Names of the commands, as typed. */
export const COMMAND_NAMES = [
  "start",
  "demo",
  "sandbox",
  "route",
  "exec",
  "config check",
  "config init",
  "config path",
  "version",
  "help",
] as const;

/** Name of a command. */
export type CommandName = typeof COMMAND_NAMES[number];

/** An argument without dashes. */
export interface ArgumentSpec {
  readonly name: string;
  readonly text: string;
  readonly required?: boolean;
  /** Takes all that follow. */
  readonly rest?: boolean;
}

/** One command. */
export interface CommandSpec {
  readonly name: CommandName;
  /** One line for the list of commands. */
  readonly summary: string;
  /** What the command does, for its own help; lines are wrapped. */
  readonly description: readonly string[];
  readonly arguments: readonly ArgumentSpec[];
  readonly flags: readonly string[];
  /** Help texts of flags that mean something of their own here. */
  readonly texts?: Readonly<Record<string, string>>;
  /** Its arguments are another program's command line: flags among them are not ours. */
  readonly literal?: boolean;
  /** Headings of flags that belong under another one here. */
  readonly groups?: Readonly<Record<string, typeof FLAG_GROUPS[number]>>;
  /** Level of the log when no flag gives one; default `info`. */
  readonly logLevel?: LogLevel;
  /** Command lines with what they do. */
  readonly examples: readonly (readonly [command: string, text: string])[];
}

const OUTPUT = ["verbose", "log-level", "log-format", "quiet", "color", "help"];
const SETTINGS = FLAGS.filter((flag) => flag.setting).map((flag) => flag.name);
const ROUTING = FLAGS.filter((flag) => flag.setting && flag.group === "Routing")
  .map((flag) => flag.name);

/** Every command, in the order of the help. */
export const COMMANDS: readonly CommandSpec[] = [
  {
    name: "start",
    summary: "Run the proxy",
    description: [
      "Listens for SOCKS5 and HTTP proxy clients and carries their connections through SSM Session " +
      "Manager to an EC2 instance, where names are resolved and connections leave. The session " +
      "opens with the first request, unless --no-lazy is given.",
      "Each setting comes from the flag, else the environment, else the profile, else [defaults] " +
      "of the configuration file. Flags may stand before or after the profile.",
    ],
    arguments: [{
      name: "profile",
      text: "a [profiles.NAME] table of the configuration file; asked for if there are several",
    }],
    flags: [...SETTINGS, "config", "sandbox", "sshd", "routing-config", ...OUTPUT],
    examples: [
      ["awsocks start staging", "the profile of that name"],
      ["awsocks start -i i-0abc1234def567890 -r eu-west-1", "without a configuration file"],
      ["awsocks start staging --listen 127.0.0.1:0 --no-lazy", "any free port, connected at once"],
      ["awsocks start --route-default direct --route-proxy '*.corp.example' -n bastion", ""],
      ["awsocks start staging --mode vm", "all of AWS inside a virtual machine"],
      ["awsocks start --sandbox", "no AWS account needed"],
    ],
  },
  {
    name: "demo",
    summary: "Fetch a private page through a sandbox and show each hop",
    description: [
      "Starts the sandbox and the proxy in one process, fetches http://hello.sandbox.internal/ " +
      "through SOCKS5, shows when each hop was passed, and stays up for you to try. Needs no AWS " +
      "account and no network.",
    ],
    arguments: [],
    flags: ["once", "listen", "switches", ...OUTPUT],
    logLevel: "warn",
    texts: { listen: "host:port of the proxy; default a free port of 127.0.0.1" },
    examples: [
      ["awsocks demo", "stays up until Ctrl-C"],
      ["awsocks demo --once", "exits when the page has been fetched"],
    ],
  },
  {
    name: "sandbox",
    summary: "Run an AWS to try things on, on loopback",
    description: [
      "Runs the AWS services that awsocks uses, an instance with its agent and sshd, and a private " +
      "web site behind it, all on loopback. Prints the environment that leads there and stays up " +
      "until Ctrl-C.",
    ],
    arguments: [],
    flags: ["listen", "sshd", "switches", "format", ...OUTPUT],
    texts: {
      listen: "host:port of the AWS API; default a free port of 127.0.0.1",
      switches: "how it behaves, such as pace=on,drop=0.01; listed below",
    },
    examples: [
      ["awsocks sandbox", "prints `export …` lines and the command to use"],
      ["awsocks sandbox --format json", "the same for programs"],
      ["awsocks sandbox --sshd 127.0.0.1:22", "with the sshd of this machine"],
      ["awsocks sandbox --switches drop=0.01,cut-every=2MB", "with a bad network"],
    ],
  },
  {
    name: "route",
    summary: "Explain how a host would leave",
    description: [
      "Shows the route of a destination and every pattern that matches it, without connecting " +
      "anywhere. The port is 443 unless given.",
    ],
    arguments: [
      { name: "host[:port]", text: "a destination as a client would name it", required: true },
      { name: "profile", text: "a [profiles.NAME] table of the configuration file" },
    ],
    flags: ["config", ...ROUTING, "mode", "format", "color", "help"],
    examples: [
      ["awsocks route www.example.com staging", ""],
      ["awsocks route 10.0.3.7:5432", ""],
    ],
  },
  {
    name: "exec",
    summary: "Run a command in a virtual machine, over vsock",
    description: [
      "Waits for a vsock-client, which runs in the guest, sends it the command, passes on standard " +
      "input, output and errors, and exits with the command's status; with 125 when there is none.",
      "A single argument is a command for the guest's /bin/sh; several are a program and its " +
      "arguments, which arrive as they are.",
      "The client is not asked who it is: whoever can connect gets the command and its input. An " +
      "ADDRESS is CID[:PORT], unix:PATH[:PORT] or tcp:HOST:PORT.",
    ],
    arguments: [{ name: "command", text: "what to run, after all flags of awsocks", rest: true }],
    literal: true,
    flags: ["listen", "connect", "persistent", "wait", ...OUTPUT],
    logLevel: "warn",
    groups: { listen: "Where to connect" },
    texts: { listen: "address to wait on for the client; default any:1024" },
    examples: [
      ["awsocks exec -- uname -a", "on port 1024 of AF_VSOCK; in the guest: vsock-client"],
      ["awsocks exec -- 'cd /var/log && tail -f messages'", "a single argument is for the shell"],
      ["tar c . | awsocks exec -- tar x -C /srv", "standard input goes there"],
      ["awsocks exec --persistent", "asks for commands; in the guest: vsock-client 2 persistent"],
      ["awsocks exec --connect unix:/run/vm.vsock:1024 --wait 30 -- uptime", "the guest listens"],
      ["awsocks exec --listen tcp:127.0.0.1:1024 -- date", "without a virtual machine"],
    ],
  },
  {
    name: "config check",
    summary: "Check the configuration file",
    description: [
      "Reads the file and shows its profiles, or everything that is wrong with it, each with its line.",
    ],
    arguments: [{ name: "file", text: "default ~/.config/awsocks/config.toml" }],
    flags: ["config", "color", "help"],
    examples: [
      ["awsocks config check", ""],
      ["awsocks config check ./config.toml", ""],
    ],
  },
  {
    name: "config init",
    summary: "Write a commented configuration file to start from",
    description: ["Writes the file with mode 0600. A file that exists is left alone."],
    arguments: [{ name: "file", text: "default ~/.config/awsocks/config.toml" }],
    flags: ["config", "color", "help"],
    examples: [["awsocks config init", ""]],
  },
  {
    name: "config path",
    summary: "Print where the configuration file is looked for",
    description: ["Prints the path, whether the file exists or not."],
    arguments: [],
    flags: ["config", "color", "help"],
    examples: [['$EDITOR "$(awsocks config path)"', ""]],
  },
  {
    name: "version",
    summary: "Print version, commit and runtime",
    description: ["Prints one line: version, commit of the build, version of Deno inside."],
    arguments: [],
    flags: ["color", "help"],
    examples: [["awsocks version", ""]],
  },
  {
    name: "help",
    summary: "Explain a command",
    description: ["Shows the help of a command, or the list of commands."],
    arguments: [{ name: "command", text: "such as start, or config check", rest: true }],
    flags: ["color", "help"],
    examples: [["awsocks help start", ""]],
  },
];

/** The command of this name. */
export function commandNamed(name: string): CommandSpec | undefined {
  return COMMANDS.find((command) => command.name === name);
}

/** The flags of a command, in the order of the flag table. */
export function flagsOf(command: CommandSpec): FlagSpec[] {
  return FLAGS.filter((flag) => command.flags.includes(flag.name));
}
