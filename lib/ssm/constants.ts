/**
 * Numbers and names of the Session Manager data channel protocol.
 *
 * Source: Session Manager protocol as the public agent and plugin implement it (message format,
 * payload types, flags, timers). Every constant has its unit.
 *
 * @module
 */

/** Message types; on the wire padded with spaces to 32 bytes. */
export const MessageType = {
  /** Client to agent: everything sequenced, handshake answers and flags included. */
  InputStreamData: "input_stream_data",
  /** Agent to client: everything sequenced, handshake requests and flags included. */
  OutputStreamData: "output_stream_data",
  /** Both ways: one sequenced message was received. */
  Acknowledge: "acknowledge",
  /** Gateway to client: the session is over. */
  ChannelClosed: "channel_closed",
  /** Gateway to both: the other side is connected; sending may go on. */
  StartPublication: "start_publication",
  /** Gateway to both: the other side is inactive; sending should stop. */
  PausePublication: "pause_publication",
} as const;

/** What the payload of a stream message is. */
export const PayloadType = {
  None: 0,
  Output: 1,
  Error: 2,
  Size: 3,
  Parameter: 4,
  HandshakeRequest: 5,
  HandshakeResponse: 6,
  HandshakeComplete: 7,
  EncChallengeRequest: 8,
  EncChallengeResponse: 9,
  Flag: 10,
  StdErr: 11,
  ExitCode: 12,
} as const;

/** Payloads of type {@linkcode PayloadType.Flag}: a 32-bit big-endian number. */
export const Flag = {
  /** Client to agent, basic mode: the local connection is gone. */
  DisconnectToPort: 1,
  /** Client to agent: end the session now. */
  TerminateSession: 2,
  /** Agent to client, mux mode: a dial failed. */
  ConnectToPortError: 3,
} as const;

/** Bits of the header's Flags field. */
export const HeaderFlag = {
  /** First message of a stream. */
  Syn: 1,
  /** Last message of a stream. */
  Fin: 2,
} as const;

/** Flags of every acknowledgement: exactly SYN and FIN. Windows agents stall on others. */
export const ACKNOWLEDGE_FLAGS = HeaderFlag.Syn | HeaderFlag.Fin;

/** Bytes before the payload length field; the value of the HeaderLength field. */
export const HEADER_LENGTH = 116;

/** Bytes before the payload. */
export const PAYLOAD_OFFSET = 120;

/** Status of a processed action in a HandshakeResponse. */
export const ActionStatus = { Success: 1, Failed: 2, Unsupported: 3 } as const;

/**
 * ClientVersion that we report. The agent derives features from it: four parts and above 1.2.331.0
 * means multiplexing without the agent's keep-alive.
 */
export const CLIENT_VERSION = "1.2.707.0";

/** Largest stream payload that every agent and the gateway are known to carry, in bytes. */
export const DEFAULT_PAYLOAD_BYTES = 1024;
