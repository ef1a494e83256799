/**
 * Sandbox options as text, for the command line: `pace=on,drop=0.01,cut-every=2MB`.
 *
 * @module
 */

import { distance } from "fastest-levenshtein";
import { AwsocksError } from "../core/mod.ts";
import {
  type CutEvery,
  DEFAULT_INSTANCES,
  type InstanceSpec,
  type SandboxOptions,
  type Switches,
} from "./options.ts";

/** As many as have an address of their own. */
const MAX_INSTANCES = 200;

/** A flag as help texts show it. */
export interface SandboxFlag {
  readonly name: string;
  /** Form of the value, for example `on|off` or `TIME`. */
  readonly value: string;
  readonly help: string;
}

interface Flag extends SandboxFlag {
  /** @throws RangeError with what was expected */
  apply(text: string): SandboxOptions;
}

type Parse<T> = (text: string) => T;

/** A flag that sets a switch. */
function toggle<K extends keyof Switches>(
  name: string,
  key: K,
  kind: readonly [form: string, parse: Parse<Switches[K]>],
  help: string,
): Flag {
  const [value, parse] = kind;
  return {
    name,
    value,
    help,
    apply: (text) => ({ switches: { [key]: parse(text) } as Partial<Switches> }),
  };
}

/** A flag that sets an option. */
function option<K extends keyof SandboxOptions>(
  name: string,
  key: K,
  kind: readonly [form: string, parse: Parse<NonNullable<SandboxOptions[K]>>],
  help: string,
): Flag {
  const [value, parse] = kind;
  return { name, value, help, apply: (text) => ({ [key]: parse(text) }) };
}

function oneOf<T extends string>(...values: T[]): readonly [string, Parse<T>] {
  return [values.join("|"), (text) => {
    const found = values.find((value) => value === text);
    if (found === undefined) throw new RangeError(`one of ${values.join(", ")}`);
    return found;
  }];
}

function matched(text: string, pattern: RegExp, expected: string): RegExpExecArray {
  const match = pattern.exec(text);
  if (!match) throw new RangeError(expected);
  return match;
}

const onOff: readonly [string, Parse<boolean>] = ["on|off", (text) => {
  if (["on", "true", "yes"].includes(text)) return true;
  if (["off", "false", "no"].includes(text)) return false;
  throw new RangeError("on or off");
}];

const probability: readonly [string, Parse<number>] = ["0…1", (text) => {
  const [, number, percent] = matched(
    text,
    /^(\d*\.?\d+)(%?)$/,
    "a probability such as 0.01 or 1%",
  );
  const value = Number(number) / (percent ? 100 : 1);
  if (value > 1) throw new RangeError("a probability of at most 1");
  return value;
}];

const count: readonly [string, Parse<number>] = ["N", (text) => {
  return Number(matched(text, /^\d{1,9}$/, "a whole number")[0]);
}];

const TIME_UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };
const TIME = /^(\d*\.?\d+)(ms|s|m|h)$/;

const time: readonly [string, Parse<number>] = ["TIME", (text) => {
  if (text === "0") return 0;
  const [, number, unit] = matched(text, TIME, "a time such as 500ms, 10s, 20m or 1h");
  return Number(number) * TIME_UNITS[unit!]!;
}];

const SIZE_UNITS: Readonly<Record<string, number>> = {
  b: 1,
  kb: 1000,
  mb: 1000 ** 2,
  gb: 1000 ** 3,
  kib: 1024,
  mib: 1024 ** 2,
  gib: 1024 ** 3,
};
const SIZE = /^(\d*\.?\d+)(b|kb|mb|gb|kib|mib|gib)$/i;

const size: readonly [string, Parse<number>] = ["SIZE", (text) => {
  if (text === "0") return 0;
  const [, number, unit] = matched(text, SIZE, "a size such as 500kB, 2MB or 64KiB");
  return Math.round(Number(number) * SIZE_UNITS[unit!.toLowerCase()]!);
}];

const cutEvery: readonly [string, Parse<CutEvery>] = ["SIZE|TIME|Nmsg", (text) => {
  const messages = /^(\d{1,9})msgs?$/.exec(text);
  const cut: CutEvery = messages
    ? { amount: Number(messages[1]), unit: "messages" }
    : TIME.test(text)
    ? { amount: time[1](text), unit: "ms" }
    : SIZE.test(text)
    ? { amount: size[1](text), unit: "bytes" }
    : { amount: 0, unit: "bytes" };
  if (cut.amount > 0) return cut;
  throw new RangeError("a size, a time or a number of messages such as 2MB, 30s or 500msg");
}];

const group: readonly [string, Parse<readonly InstanceSpec[]>] = ["N", (text) => {
  const size = count[1](text);
  if (size < 1 || size > MAX_INSTANCES) {
    throw new RangeError(`a whole number from 1 to ${MAX_INSTANCES}`);
  }
  return Array.from({ length: size }, () => ({ name: DEFAULT_INSTANCES[0]!.name }));
}];

const word: readonly [string, Parse<string>] = ["TEXT", (text) => {
  return matched(text, /^\S+$/, "a word")[0];
}];

const FLAGS: readonly Flag[] = [
  toggle("pace", "pace", onOff, "agent sleeps 1 ms after each message, as real ones do"),
  toggle("unacknowledged", "unacknowledged", count, "agent's messages in flight while pace is off"),
  toggle(
    "refuse-first",
    "refuseFirst",
    time,
    "agent takes no data for so long after the handshake",
  ),
  toggle("reacknowledge", "reacknowledge", onOff, "agent acknowledges duplicates; off: old agent"),
  toggle("discard-early", "discardEarly", onOff, "agent throws away data sent too early"),
  toggle("deadlock", "deadlock", onOff, "a second HandshakeResponse stops the agent for ever"),
  toggle("resend-tick", "resendTick", time, "agent looks so often for something to send again"),
  toggle("handshake-timeout", "handshakeTimeout", time, "agent waits so long for the handshake"),
  toggle("agent-delay", "agentDelay", time, "agent connects so long after StartSession"),
  toggle(
    "signed-upgrade",
    "signedUpgrade",
    oneOf("ignore", "warn", "require"),
    "what to do about data channels without signature",
  ),
  toggle("keep-in-flight", "keepInFlight", onOff, "gateway keeps messages for an absent client"),
  toggle(
    "publication",
    "publication",
    oneOf("plain", "bare", "off"),
    "headers of start_publication and pause_publication",
  ),
  toggle("new-url", "newUrl", onOff, "ResumeSession hands out another URL"),
  toggle("token-lifetime", "tokenLifetime", time, "how long a token can be used"),
  toggle("idle-timeout", "idleTimeout", time, "ends sessions without input"),
  toggle("max-duration", "maxDuration", time, "ends sessions in any case"),
  toggle("max-message", "maxMessage", size, "largest message that the gateway relays"),
  toggle("rate", "rate", size, "bytes a second of a session, each way"),
  toggle("latency", "latency", time, "how long each message takes, one way"),
  toggle(
    "ended-resume",
    "endedResume",
    oneOf("no-token", "does-not-exist"),
    "how ResumeSession says that a session is over",
  ),
  toggle("drop", "drop", probability, "messages lost"),
  toggle("duplicate", "duplicate", probability, "messages delivered twice"),
  toggle("reorder", "reorder", probability, "messages overtaken by others"),
  toggle("delay", "delay", probability, "messages delivered late"),
  toggle("delay-time", "delayTime", time, "how late at most"),
  toggle("cut-every", "cutEvery", cutEvery, "cuts the WebSocket again and again"),
  toggle(
    "cut-mode",
    "cutMode",
    oneOf("bye", "abrupt", "stall"),
    "close code 1000, none, or silence",
  ),
  toggle("refuse-resume", "refuseResume", time, "ResumeSession fails for so long after a cut"),
  toggle("throttle", "throttle", probability, "API calls answered with a throttling error"),
  toggle("upgrade-errors", "upgradeErrors", count, "upgrades answered with an HTML page"),
  option("seed", "seed", count, "makes ids and faults repeat"),
  option("instances", "instances", group, "so many running ones with one Name tag, no others"),
  option("port", "port", count, "port of the API"),
  option("region", "region", word, "region of the account"),
  option("agent-version", "agentVersion", word, "version that the agent reports"),
  option("ssh-user", "sshUser", word, "user that may log in"),
  option("sshd", "sshd", word, "HOST:PORT of a real sshd behind port 22"),
  option("ssh-key", "sshKey", word, "private key file that a real sshd lets in"),
  option("mfa-code", "mfaCode", word, "code that AssumeRole takes"),
  option("connect-timeout", "connectTimeout", time, "until a silent destination fails"),
  option("transition-time", "transitionTime", time, "for pending and for stopping"),
  option("agent-start-time", "agentStartTime", time, "from running to an online agent"),
];

/** Every flag, for help texts. */
export const SANDBOX_FLAGS: readonly SandboxFlag[] = FLAGS;

/**
 * Reads a list of `name=value` parts, separated by commas. A part without a value turns a switch on.
 * @throws AwsocksError `usage` that names the part and what was expected
 */
export function parseSandboxFlags(text: string): SandboxOptions {
  let options: SandboxOptions = {};
  for (const part of text.split(",").map((each) => each.trim()).filter((each) => each !== "")) {
    const at = part.indexOf("=");
    const name = (at < 0 ? part : part.slice(0, at)).trim();
    const value = at < 0 ? "on" : part.slice(at + 1).trim();
    const flag = FLAGS.find((each) => each.name === name);
    if (!flag) throw unknownFlag(name);
    const next = applied(flag, value);
    options = {
      ...options,
      ...next,
      ...(options.switches || next.switches
        ? { switches: { ...options.switches, ...next.switches } }
        : {}),
    };
  }
  return options;
}

function applied(flag: Flag, value: string): SandboxOptions {
  try {
    return flag.apply(value);
  } catch (cause) {
    const expected = cause instanceof RangeError ? cause.message : flag.value;
    throw new AwsocksError(
      "usage",
      `Sandbox switch ${flag.name} has value "${value}", expected ${expected}`,
      { cause },
    );
  }
}

function unknownFlag(name: string): AwsocksError {
  const nearest = FLAGS.map((flag) => flag.name)
    .toSorted((a, b) => distance(a, name) - distance(b, name))[0]!;
  const hint = distance(nearest, name) <= Math.max(2, name.length / 3)
    ? `did you mean ${nearest}?`
    : `known switches: ${FLAGS.map((flag) => flag.name).join(", ")}`;
  return new AwsocksError("usage", `Unknown sandbox switch "${name}"`, { hint });
}
