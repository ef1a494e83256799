/**
 * Options, times, counters and ends of a data channel.
 *
 * @module
 */

import type { AwsocksError, Clock } from "../core/mod.ts";
import type { Disruptions } from "./disruptions.ts";
import type { WindowOptions } from "./outbox.ts";
import type { SessionService } from "./service.ts";
import type { SocketConnector } from "./socket.ts";

/** Where a channel is. */
export type ChannelState = "opening" | "handshaking" | "open" | "resuming" | "closed";

/** How a channel ended. */
export interface ChannelEnd {
  /** `local`: we closed it; `remote`: `channel_closed`; `lost`: it could not be kept alive. */
  readonly by: "local" | "remote" | "lost";
  /** The agent's text in `channel_closed`; often empty. */
  readonly output: string;
  /** The failure; absent for a plain end. */
  readonly error?: AwsocksError;
}

/** Counters of a channel. */
export interface ChannelStats {
  readonly sentBytes: number;
  readonly receivedBytes: number;
  readonly retransmissions: number;
  readonly duplicates: number;
  readonly malformed: number;
  readonly resumes: number;
  /** Unacknowledged payload bytes now, and the most that were under way at any time. */
  readonly unacknowledged: number;
  readonly maxUnacknowledged: number;
  /**
   * The most that were under way, as a share of the window as it was then. Not above 1, unless an old
   * agent may have processed messages without a word, or a message asks whether a pause is over.
   */
  readonly maxWindowShare: number;
  /** Smoothed round-trip time in milliseconds. */
  readonly roundTrip?: number;
  /**
   * Milliseconds for which the agent has said nothing although it owes an acknowledgement, or since the
   * service has said that it does not listen; 0: neither.
   */
  readonly silence: number;
}

/** Options of `DataChannel`. */
export interface DataChannelOptions {
  readonly service: SessionService;
  readonly connect: SocketConnector;
  readonly clock: Clock;
  /** Largest payload per message in bytes; default 1024. */
  readonly payloadBytes?: number;
  readonly window?: WindowOptions;
  /** ClientVersion of the handshake; the agent derives features from it. */
  readonly clientVersion?: string;
  /** Called on each change of state. */
  readonly onStateChange?: (state: ChannelState) => void;
  /** Called for flags of the agent, such as ConnectToPortError. */
  readonly onFlag?: (flag: number) => void;
  /** Tells when the WebSocket may have died unnoticed. */
  readonly disruptions?: Disruptions | undefined;
  /** Times in milliseconds; for tests. */
  readonly timing?: Partial<ChannelTiming>;
}

/** Times of a channel, in milliseconds. */
export interface ChannelTiming {
  /** From the start to HandshakeComplete. The agent itself gives up after 15 s and 15 s more. */
  readonly handshake: number;
  /** Between pings; middleboxes drop connections that idle for a minute. */
  readonly ping: number;
  /** From a ping to its pong, or any other message. */
  readonly pong: number;
  /** The same after a disruption. */
  readonly check: number;
  /** Between looks at the retransmission timers. */
  readonly tick: number;
  /** Between probes while publication is paused. */
  readonly probe: number;
  /** Trying to resume, in all. */
  readonly resume: number;
  /** Silence on a connected socket while acknowledgements are owed. */
  readonly silence: number;
  /** Waiting for acknowledgements when closing. */
  readonly drain: number;
  /** The TerminateSession call. */
  readonly terminate: number;
}

/** Default times. */
export const CHANNEL_TIMING: ChannelTiming = {
  handshake: 30_000,
  ping: 30_000,
  pong: 15_000,
  check: 3000,
  tick: 50,
  probe: 1500,
  resume: 300_000,
  silence: 120_000,
  drain: 1000,
  terminate: 3000,
};
