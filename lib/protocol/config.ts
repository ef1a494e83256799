/**
 * What the guest must know to run the backend: a versioned JSON document. Nothing in it is secret:
 * credentials come by calls of their own, and private keys never leave the host (see `services.ts`).
 *
 * @module
 */

import { AwsocksError, LOG_LEVELS, type LogLevel } from "../core/mod.ts";
import {
  type Decoder,
  dictionary,
  flag,
  number,
  object,
  oneOf,
  optional,
  text,
  whole,
} from "./fields.ts";

/** Version of the document; a guest refuses a later one, which may mean something else. */
export const CONFIG_VERSION = 1;

/** Endpoint overrides, absolute URLs as the guest reaches them. */
export interface GuestEndpoints {
  readonly ssm?: string;
  readonly ec2?: string;
  readonly sts?: string;
  readonly ssmmessages?: string;
}

/** Levels of the guest's log. */
export interface GuestLogLevels {
  readonly level: LogLevel;
  /** Levels of single rooms. */
  readonly rooms?: Readonly<Record<string, LogLevel>>;
}

/** The backend configuration. */
export interface GuestConfig {
  readonly version: typeof CONFIG_VERSION;
  readonly region: string;
  readonly instanceId?: string;
  /** EC2 Name tag. */
  readonly name?: string;
  readonly sshUser: string;
  /** How to log in: with a key that the user has named, or by EC2 Instance Connect; default what there is. */
  readonly login?: "key" | "instance-connect";
  /** Port of sshd on the instance. */
  readonly remotePort: number;
  /** How destinations are reached; default `ssh`. */
  readonly backend?: "auto" | "ssh" | "port";
  /** Sessions at a time; default 1. */
  readonly maxSessions?: number;
  /** Bytes of payload per message to the instance; default 1024. */
  readonly payloadSize?: number;
  /** Which of several instances with the name are used; default `one`. */
  readonly instances?: "one" | "all";
  readonly autoStart: boolean;
  readonly autoStop: boolean;
  readonly compression: boolean;
  /** Seconds a connection waits for a backend that is not up. */
  readonly connectTimeout: number;
  readonly endpoints: GuestEndpoints;
  /** Proxy variables and `AWS_ENDPOINT_URL…`, as the guest is to see them. May hold a password. */
  readonly env: Readonly<Record<string, string>>;
  /** PEM certificates that AWS is trusted with besides the usual ones. */
  readonly caBundle?: string;
  /** Somebody can be asked which of several instances is meant. */
  readonly canChoose?: boolean;
  readonly log?: GuestLogLevels;
}

/** Longest bundle of certificates, in characters; that of a distribution has some 200,000. */
const MAX_CA_BUNDLE = 768 * 1024;

const url = optional(text(2048));

const decoder = object<GuestConfig>({
  version: () => CONFIG_VERSION, // checked below, before anything else
  region: text(64),
  instanceId: optional(text(64)),
  name: optional(text(256)),
  sshUser: text(256),
  login: optional(oneOf(["key", "instance-connect"])),
  remotePort: whole(1, 65_535),
  backend: optional(oneOf(["auto", "ssh", "port"])),
  maxSessions: optional(whole(1, 64)),
  payloadSize: optional(whole(1, 65_536)),
  instances: optional(oneOf(["one", "all"])),
  autoStart: flag,
  autoStop: flag,
  compression: flag,
  connectTimeout: number,
  endpoints: object<GuestEndpoints>({ ssm: url, ec2: url, sts: url, ssmmessages: url }),
  env: dictionary(text(), 64),
  caBundle: optional(text(MAX_CA_BUNDLE)),
  canChoose: optional(flag),
  log: optional(object<GuestLogLevels>({
    level: oneOf(LOG_LEVELS),
    rooms: optional(dictionary(oneOf(LOG_LEVELS), 64)),
  })),
});

/**
 * Checks a document.
 * @throws AwsocksError `tunnel-protocol-error`, `tunnel-incompatible` for a later version
 */
export const guestConfig: Decoder<GuestConfig> = (value, at) => {
  const { version } = object<{ version: number }>({ version: whole(1) })(value, at);
  if (version !== CONFIG_VERSION) {
    throw new AwsocksError(
      "tunnel-incompatible",
      `The host sends version ${version} of the configuration, and this guest knows ${CONFIG_VERSION}`,
    );
  }
  return decoder(value, at);
};
