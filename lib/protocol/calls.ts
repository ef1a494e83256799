/**
 * What the two ends ask of each other over the control channel, and what they tell each other.
 *
 * @module
 */

import { type Credentials, LOG_LEVELS, type LogLevel } from "../core/mod.ts";
import { guestConfig } from "./config.ts";
import {
  anything,
  type Decoder,
  dictionary,
  flag,
  list,
  nothing,
  number,
  object,
  oneOf,
  optional,
  scalar,
  text,
  whole,
} from "./fields.ts";

/** Something that one end can ask of the other. */
export interface Call<P, R> {
  readonly name: string;
  readonly params: Decoder<P>;
  readonly result: Decoder<R>;
  /** Milliseconds for the answer. */
  readonly limit: number;
}

/** Something that one end tells the other, without an answer. */
export interface Notice<P> {
  readonly name: string;
  readonly params: Decoder<P>;
}

const SECOND = 1000;
const MINUTE = 60 * SECOND;

function call<P, R>(
  name: string,
  params: Decoder<P>,
  result: Decoder<R>,
  limit: number,
): Call<P, R> {
  return { name, params, result, limit };
}

const credentials = object<Credentials>({
  accessKeyId: text(256),
  secretAccessKey: text(256),
  sessionToken: optional(text(16_384)),
  expiration: optional(number),
});

/** What the host asks of the guest. */
export const GUEST_CALLS = {
  /** Makes ready to run the backend as configured; one that runs so already goes on. */
  configure: call("configure", guestConfig, nothing, 30 * SECOND),
  /** New credentials; the next session uses them. */
  credentials: call("credentials", credentials, nothing, 10 * SECOND),
  /** Brings the backend up; fails as its first attempt does. */
  start: call("start", nothing, nothing, 10 * MINUTE),
  /** Nothing; the answer is what counts. */
  ping: call("ping", nothing, nothing, 20 * SECOND),
  /** Ends the backend and everything it holds at AWS; the guest goes down afterwards. */
  shutdown: call("shutdown", nothing, nothing, 4 * SECOND),
} as const;

/** Milliseconds since the Unix epoch by the host's clock. */
export const TIME: Notice<{ readonly now: number }> = {
  name: "time",
  params: object<{ readonly now: number }>({ now: number }),
};

/** The host has slept or its network has changed: connections through it may have died unnoticed. */
export const DISRUPTION: Notice<{ readonly cause: string }> = {
  name: "disruption",
  params: object<{ readonly cause: string }>({ cause: text(200) }),
};

/** States of a backend. */
export const BACKEND_STATES = [
  "idle",
  "initializing",
  "active",
  "transitioning",
  "closed",
] as const;

/** A state of a backend. */
export type BackendStateName = typeof BACKEND_STATES[number];

/** How the guest's backend is. */
export interface StateNotice {
  readonly state: BackendStateName;
  /** The latest failure, as `encodeError` gives it. */
  readonly error?: unknown;
}

/** The guest's backend has changed its state or its latest failure. */
export const STATE: Notice<StateNotice> = {
  name: "state",
  params: object<StateNotice>({ state: oneOf(BACKEND_STATES), error: optional(anything) }),
};

/** A line of the guest's log. */
export interface GuestLogRecord {
  /** Milliseconds since the Unix epoch, by the guest's clock. */
  readonly time: number;
  readonly level: LogLevel;
  /** Room of the guest that says it. */
  readonly room: string;
  readonly message: string;
  readonly fields?: Readonly<Record<string, string | number | boolean>>;
}

/** A line of the guest's log, and how many before it were dropped. */
export const LOG: Notice<GuestLogRecord & { readonly dropped?: number }> = {
  name: "log",
  params: object<GuestLogRecord & { readonly dropped?: number }>({
    time: number,
    level: oneOf(LOG_LEVELS),
    room: text(64),
    message: text(),
    fields: optional(dictionary(scalar(), 32)),
    dropped: optional(whole(0)),
  }),
};

/** What takes long, in words. */
export const PROGRESS: Notice<{ readonly text: string }> = {
  name: "progress",
  params: object<{ readonly text: string }>({ text: text() }),
};

/** A key that the host can sign with. */
export interface PublicIdentity {
  readonly source: "file" | "agent" | "memory";
  /** Path of the key file or comment of the agent, for messages. */
  readonly label: string;
  /** Wire format of SSH in Base64. */
  readonly publicKey: string;
}

/** A signature that the guest needs to log in. */
export interface SignRequest {
  /** Which key, in Base64. */
  readonly publicKey: string;
  /** What to sign, in Base64: the request of RFC 4252 section 7. */
  readonly data: string;
  readonly hash?: "sha1" | "sha256" | "sha512";
}

/** An sshd, named as known hosts files do. */
export interface ServerName {
  readonly instanceId: string;
  readonly port: number;
}

/** A host key that a server has presented. */
export interface HostKeyQuestion extends ServerName {
  /** Wire format of SSH in Base64. */
  readonly publicKey: string;
  /** False: is it known, or may it be new? True: the server has proved to own it, record it. */
  readonly remember: boolean;
}

/** An instance to choose from. */
export interface InstanceChoice {
  readonly id: string;
  readonly name?: string;
  readonly state: string;
  readonly privateIp?: string;
  readonly availabilityZone?: string;
}

const key = text(16_384);
const server = { instanceId: text(64), port: whole(1, 65_535) };

/**
 * What the guest asks of the host: whatever takes the user's secrets, files or attention. So private
 * keys stay on the host, ssh-agents and passphrase prompts work, and messages name the user's files.
 */
export const HOST_CALLS = {
  /** Credentials that are valid now; `refresh`: those at hand were refused. */
  credentials: call(
    "credentials",
    object<{ readonly refresh: boolean }>({ refresh: flag }),
    credentials,
    5 * MINUTE,
  ),
  /** The keys to try, in order. */
  identities: call(
    "identities",
    nothing,
    list(
      object<PublicIdentity>({
        source: oneOf(["file", "agent", "memory"]),
        label: text(),
        publicKey: key,
      }),
      64,
    ),
    2 * MINUTE,
  ),
  /** A signature in Base64. */
  sign: call(
    "sign",
    object<SignRequest>({
      publicKey: key,
      data: text(65_536),
      hash: optional(oneOf(["sha1", "sha256", "sha512"])),
    }),
    key,
    2 * MINUTE,
  ),
  /** Types of the host keys that are known for a server, best first. */
  hostKeyTypes: call("hostKeyTypes", object<ServerName>(server), list(text(64), 64), 10 * SECOND),
  /** Answers when the key may be the server's, fails when it must not be trusted. */
  hostKey: call(
    "hostKey",
    object<HostKeyQuestion>({ ...server, publicKey: key, remember: flag }),
    nothing,
    10 * SECOND,
  ),
  /** The id of the instance that the user picks. */
  chooseInstance: call(
    "chooseInstance",
    list(
      object<InstanceChoice>({
        id: text(64),
        name: optional(text(256)),
        state: text(64),
        privateIp: optional(text(64)),
        availabilityZone: optional(text(64)),
      }),
      1000,
    ),
    text(64),
    10 * MINUTE,
  ),
} as const;

/** What one end can be asked. */
export type Side = Readonly<Record<string, Call<unknown, unknown>>>;

/** One function for each call of a side. */
export type Services<S extends Side> = {
  readonly [K in keyof S]: S[K] extends Call<infer P, infer R>
    ? (params: P, options: { readonly signal?: AbortSignal | undefined }) => Promise<R>
    : never;
};

/** What the host does for its guest. */
export type HostServices = Services<typeof HOST_CALLS>;

/** What the guest does for its host. */
export type GuestServices = Services<typeof GUEST_CALLS>;
