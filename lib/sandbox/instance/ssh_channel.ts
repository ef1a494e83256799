/**
 * What the SSH server needs of `ssh2` beyond its public face: channels that half-close, refusals
 * with a reason, and back-pressure of the connection below.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import type { Duplex } from "node:stream";
// @ts-types="@types/ssh2"
import type { Connection, ServerChannel } from "ssh2";
import type { Conn } from "../../core/mod.ts";
import { connFromDuplex } from "../../core/node_stream.ts";

// Casts below: private fields, the same in every ssh2 1.x, and used nowhere else.

/** The stream that a connection was injected with. */
export function transportOf(connection: Connection): Duplex {
  return (connection as unknown as { readonly _sock: Duplex })._sock;
}

/** Refuses a channel with a reason of RFC 4254 section 5.1 and a description. */
export type Rejecter = (reject: () => void, reason: number, description: string) => void;

/**
 * A {@linkcode Rejecter} for a connection. The library refuses every channel with reason 2 and no
 * description; this puts others in their place, in the one call that its `reject` makes.
 */
export function createRejecter(connection: Connection): Rejecter {
  const { _protocol: protocol } = connection as unknown as {
    readonly _protocol: {
      channelOpenFail(recipient: number, reason: number, description: string): void;
    };
  };
  const original = protocol.channelOpenFail;
  return (reject, reason, description) => {
    protocol.channelOpenFail = (recipient) =>
      original.call(protocol, recipient, reason, description);
    try {
      reject();
    } finally {
      protocol.channelOpenFail = original;
    }
  };
}

/**
 * A server channel as a Conn. `end()` of the stream closes the channel together with the output;
 * `closeWrite()` sends SSH_MSG_CHANNEL_EOF alone (RFC 4254 section 5.3), as OpenSSH does.
 *
 * @param transport the connection below: its channels write only while it has room
 */
export function connFromChannel(channel: ServerChannel, transport: Duplex): Conn {
  const { read } = connFromDuplex(channel);
  // Public in the library, but not in its types.
  const half = channel as ServerChannel & { eof(): void };
  let closed = false;
  let fail: ((error: Error) => void) | undefined;
  const gone = () => new Deno.errors.BrokenPipe("The channel is closed");
  channel.once("close", () => {
    closed = true;
    fail?.(gone());
  });

  return {
    read,
    write: async (data) => {
      await drained(transport);
      if (closed) throw gone();
      // The callback comes once the peer's window has taken all of it, and never if the channel closes.
      await new Promise<void>((resolve, reject) => {
        fail = reject;
        channel.write(Buffer.from(data), (error) => error ? reject(error) : resolve());
      });
      fail = undefined;
      return data.byteLength;
    },
    closeWrite: () => {
      if (!closed) half.eof();
      return Promise.resolve();
    },
    close: () => {
      if (closed) return;
      closed = true;
      fail?.(gone());
      channel.on("error", () => {});
      channel.destroy();
    },
  };
}

/** Resolves when a stream has room, or is gone. */
async function drained(stream: Duplex): Promise<void> {
  while (stream.writableNeedDrain && !stream.destroyed) {
    await new Promise<void>((resolve) => {
      const settle = () => {
        stream.off("drain", settle);
        stream.off("close", settle);
        resolve();
      };
      stream.on("drain", settle);
      stream.on("close", settle);
    });
  }
}
