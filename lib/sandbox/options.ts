/**
 * Everything about the sandbox that can be chosen, with its default.
 *
 * {@linkcode SandboxOptions} is fixed when the sandbox starts; {@linkcode Switches}, which make its
 * parts behave or misbehave, can also be changed while it runs.
 *
 * @module
 */

import type { Clock, Credentials } from "../core/mod.ts";

/** When the gateway cuts a client's WebSocket by itself: each time so much has passed over it. */
export interface CutEvery {
  readonly amount: number;
  /** Payload bytes or messages in either direction, or milliseconds since the WebSocket opened. */
  readonly unit: "bytes" | "messages" | "ms";
}

/**
 * How a client's WebSocket is cut: with close code 1000 as the service does it, by an end of the TCP
 * connection without a word, or by a silence in which it stays open, as behind a dead middlebox.
 */
export type CutMode = "bye" | "abrupt" | "stall";

/** How the parts of the sandbox behave. Each default is what AWS does today, as far as is known. */
export interface Switches {
  // The agent
  /** Sleep 1 ms after each output message, as every agent does; default false, for speed. */
  readonly pace: boolean;
  /** Output messages that may wait for their acknowledgement while `pace` is off; default 64. */
  readonly unacknowledged: number;
  /** Milliseconds after HandshakeComplete in which data is refused (not acknowledged); default 0. */
  readonly refuseFirst: number;
  /** Acknowledge duplicates, as agents from 3.2.1041.0 on do; default true. */
  readonly reacknowledge: boolean;
  /**
   * Acknowledge and throw away data that comes before HandshakeComplete, as every agent does; default
   * true. False refuses it, so that it comes again.
   */
  readonly discardEarly: boolean;
  /** Be dead-locked by a second HandshakeResponse, as every agent is; default true. */
  readonly deadlock: boolean;
  /** Milliseconds between two looks at the oldest unacknowledged message; default 100. */
  readonly resendTick: number;
  /** Milliseconds that the client has for its HandshakeResponse; default 15,000. */
  readonly handshakeTimeout: number;
  /**
   * Milliseconds between StartSession and the agent's own connection; default 30. With 0 the agent is
   * there first, and the client gets a repetition of its HandshakeRequest.
   */
  readonly agentDelay: number;

  // The gateway
  /** What happens to a WebSocket upgrade without a valid SigV4 signature; default `warn`: allowed. */
  readonly signedUpgrade: "ignore" | "warn" | "require";
  /** Keep messages for a client that is away and deliver them when it is back; default false: lost. */
  readonly keepInFlight: boolean;
  /** `start_publication` and `pause_publication`: with a plain header, an all-zero one, or not sent. */
  readonly publication: "plain" | "bare" | "off";
  /** Whether ResumeSession hands out another URL, so that the old one is refused; default true. */
  readonly newUrl: boolean;
  /** Milliseconds in which a token can be used; default 60,000. */
  readonly tokenLifetime: number;
  /** Milliseconds without client input that end a session; default 20 minutes. */
  readonly idleTimeout: number;
  /** Milliseconds that end a session whatever happens; 0, the default, is never. */
  readonly maxDuration: number;
  /** Largest message that is relayed, in bytes with its header; 0, the default, is no limit. */
  readonly maxMessage: number;
  /** Bytes a second that a session carries in each direction; 0, the default, is no limit. */
  readonly rate: number;
  /** Milliseconds that each message takes, one way; default 0. */
  readonly latency: number;
  /** ResumeSession for an ended session: an answer without a token, or DoesNotExistException. */
  readonly endedResume: "no-token" | "does-not-exist";

  // Faults
  /** Probability that a stream message or an acknowledgement is lost. */
  readonly drop: number;
  /** Probability that one arrives twice. */
  readonly duplicate: number;
  /** Probability that one arrives after its successors. */
  readonly reorder: number;
  /** Probability that one, and all behind it, arrive late. */
  readonly delay: number;
  /** Longest delay in milliseconds; default 50. */
  readonly delayTime: number;
  /** Cuts the client's WebSocket again and again. */
  readonly cutEvery: CutEvery | null;
  /** How it is cut; default `bye`. */
  readonly cutMode: CutMode;
  /** Milliseconds after each cut in which ResumeSession fails with InternalServerError. */
  readonly refuseResume: number;
  /** Probability that an API call is answered with a throttling error. */
  readonly throttle: number;
  /** Upgrade requests that are answered with an HTML error page from now on; default 0. */
  readonly upgradeErrors: number;
}

/** The switches as they are when nothing is said. */
export const DEFAULT_SWITCHES: Switches = {
  pace: false,
  unacknowledged: 64,
  refuseFirst: 0,
  reacknowledge: true,
  discardEarly: true,
  deadlock: true,
  resendTick: 100,
  handshakeTimeout: 15_000,
  agentDelay: 30,
  signedUpgrade: "warn",
  keepInFlight: false,
  publication: "plain",
  newUrl: true,
  tokenLifetime: 60_000,
  idleTimeout: 20 * 60_000,
  maxDuration: 0,
  maxMessage: 0,
  rate: 0,
  latency: 0,
  endedResume: "no-token",
  drop: 0,
  duplicate: 0,
  reorder: 0,
  delay: 0,
  delayTime: 50,
  cutEvery: null,
  cutMode: "bye",
  refuseResume: 0,
  throttle: 0,
  upgradeErrors: 0,
};

/** An instance of the sandbox's account. */
export interface InstanceSpec {
  /** Value of its Name tag. */
  readonly name: string;
  /** Default: made up, from the seed. */
  readonly instanceId?: string;
  /** State at the start; default `running`. */
  readonly state?: "running" | "stopped";
  /** Whether the agent of a running instance is connected; default true. */
  readonly agentOnline?: boolean;
}

/** The instances there are when nothing is said. */
export const DEFAULT_INSTANCES: readonly InstanceSpec[] = [
  { name: "sandbox" },
  { name: "sandbox-stopped", state: "stopped" },
  { name: "sandbox-twin" },
  { name: "sandbox-twin" },
  { name: "sandbox-offline", agentOnline: false },
];

/** Options of `startSandbox`. */
export interface SandboxOptions {
  /** Makes ids, tokens and faults repeat; default: different each time. Keys are always new. */
  readonly seed?: number;
  /** Where time comes from; default the real time. */
  readonly clock?: Clock;
  /** TCP port of the API on 127.0.0.1; default: any free one. */
  readonly port?: number;
  /** Default `eu-central-1`. */
  readonly region?: string;
  /** The instances; the first one is the default target. */
  readonly instances?: readonly InstanceSpec[];
  /** Milliseconds from `pending` to `running`, and from `stopping` to `stopped`; default 1,000. */
  readonly transitionTime?: number;
  /** Milliseconds from `running` until the agent is online; default 1,000. */
  readonly agentStartTime?: number;
  /** Four-part version that the agent reports; default 3.3.1142.0. */
  readonly agentVersion?: string;
  /** Credentials that the API accepts; default: a long-lived key, made up. */
  readonly credentials?: Credentials;
  /** Actions that the caller's policy denies, for example `ssm:StartSession` or `ec2:*`. */
  readonly deny?: readonly string[];
  /** Code that AssumeRole with an MFA device takes; default `123456`. */
  readonly mfaCode?: string;
  /** User that the instance's SSH server knows; default `ec2-user`, with a real sshd the own one. */
  readonly sshUser?: string;
  /** Public keys in `authorized_keys` form that are let in besides the sandbox's own. */
  readonly authorizedKeys?: readonly string[];
  /**
   * `host:port` of a real sshd that stands behind port 22 instead of the built-in server. It knows
   * nothing of the private network, so the web site is then served on a loopback port too (`siteUrl`).
   */
  readonly sshd?: string;
  /** Private key file that a real sshd lets in, handed out as `sshKeyPath`; default: a new one. */
  readonly sshKey?: string;
  /** Milliseconds until a connection to a silent destination fails; default 127,000, as on Linux. */
  readonly connectTimeout?: number;
  /** How its parts behave. */
  readonly switches?: Partial<Switches>;
}
