/**
 * A `direct-tcpip` channel of ssh2 as a {@linkcode Conn}.
 *
 * `connFromDuplex` of core does not fit, since ssh2's channels are streams with ways of their own:
 * "close" comes only after both ends and after all data was read, a write to a closed channel never
 * calls back, `destroy()` does not destroy, and two MiB are buffered before `write()` says stop.
 *
 * @module
 */

import type { ClientChannel } from "ssh2";
import type { Conn } from "../core/mod.ts";
import { Buffer } from "node:buffer";
import type { ChannelWindow } from "./receive_window.ts";
import { canSend, sendClose, serverEnded } from "./ssh2_internals.ts";
import type { WriteGate } from "./write_gate.ts";

/** Bytes that one write takes at most: one SSH packet, so that channels take turns finely. */
const WRITE_BYTES = 32 * 1024;

/** A channel, and a way to fail it when its connection is lost. */
export interface ChannelConn extends Conn {
  /** Fails pending and later reads and writes, unless the server had ended the channel before. */
  fail(error: Error): void;
}

/**
 * Wraps a channel.
 * @param onClosed called once, when the channel is closed from this side or from both
 */
export function channelConn(
  channel: ClientChannel,
  gate: WriteGate,
  window: ChannelWindow,
  onClosed: () => void,
): ChannelConn {
  let readEnded = false;
  let writeEnded = false;
  let eofSent = false;
  let closed = false;
  let failure: Error | undefined;
  let waiters: (() => void)[] = [];

  const wake = () => {
    const all = waiters;
    waiters = [];
    for (const waiter of all) waiter();
  };
  const change = () => new Promise<void>((resolve) => void waiters.push(resolve));
  const finish = () => {
    if (closed) return;
    closed = true;
    window.close();
    wake();
    onClosed();
  };
  /** Both directions have come to their end: say so, which frees the channel on both sides. */
  const closeIfDone = () => {
    if (!readEnded || !eofSent || closed) return;
    sendClose(channel);
    finish();
  };

  channel.on("readable", wake);
  channel.on("end", () => {
    readEnded = true;
    wake();
    closeIfDone();
  });
  channel.on("close", finish);
  channel.on("error", (error: Error) => {
    failure ??= error;
    wake();
  });

  const brokenPipe = () => failure ?? new Deno.errors.BrokenPipe("The SSH channel is closed");

  return {
    async read(into) {
      if (into.byteLength === 0) return 0;
      for (;;) {
        if (closed && !readEnded) break;
        const length = Math.min(into.byteLength, channel.readableLength);
        // With nothing buffered the call makes the stream emit "end", if that is what comes next.
        const chunk = channel.read(length || undefined) as Buffer | null;
        if (chunk) {
          into.set(chunk);
          window.consumed(chunk.byteLength);
          return chunk.byteLength;
        }
        if (readEnded) break;
        if (failure) throw failure;
        await change();
      }
      if (failure) throw failure;
      return null;
    },

    async write(data) {
      if (data.byteLength === 0) return 0;
      const size = Math.min(data.byteLength, WRITE_BYTES);
      if (!gate.open) await gate.turn();
      if (failure || closed || writeEnded || !canSend(channel)) throw brokenPipe();
      // Not copied: the channel has let go of the bytes when it calls back, after the last packet.
      const chunk = Buffer.from(data.buffer, data.byteOffset, size);
      let outcome: { error?: Error | null | undefined } | undefined;
      channel.write(chunk, (error) => {
        outcome = { error };
        wake();
      });
      while (!outcome && !failure && !closed) await change();
      if (!outcome) throw brokenPipe();
      if (outcome.error) throw outcome.error;
      return size;
    },

    async closeWrite() {
      if (writeEnded || closed || failure) return;
      writeEnded = true;
      // Ended already when the server has closed the channel.
      if (!canSend(channel)) return;
      channel.end(() => {
        eofSent = true;
        wake();
      });
      while (!eofSent && !failure && !closed) await change();
      closeIfDone();
    },

    close() {
      if (closed) return;
      sendClose(channel);
      finish();
      // What the server sent meanwhile is dropped, so that ssh2 gets to the end of the channel.
      channel.resume();
    },

    fail(error) {
      if (closed || serverEnded(channel)) return;
      failure ??= error;
      wake();
    },
  };
}
