/**
 * Commands over vsock, in three layers that can be used alone: frames and sessions over any
 * connection (`frames.ts`, `client.ts`, `server.ts`), what runs a command (`executor.ts`), and the
 * connection itself, which lib/vsock makes.
 *
 * @module
 */

export { runVsockClient, type VsockClientOptions, type VsockClientResult } from "./client.ts";
export { connectPatiently, type ConnectPatientlyOptions } from "./connect.ts";
export {
  type CommandInput,
  createShellExecutor,
  type Executor,
  type RunningCommand,
  type ShellExecutorOptions,
} from "./executor.ts";
export { decodeExitStatus, encodeExitStatus, exitCodeOf } from "./exit_status.ts";
export {
  encodeFrame,
  type Frame,
  FRAME_HEADER_BYTES,
  FrameReader,
  FrameType,
  FrameWriter,
  MAX_FRAME_DATA_BYTES,
} from "./frames.ts";
export {
  type CommandEvent,
  HostSession,
  type HostSessionOptions,
  type RemoteCommand,
} from "./server.ts";
export { commandOf, quoteWord } from "./shell_words.ts";
