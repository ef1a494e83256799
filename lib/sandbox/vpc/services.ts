/**
 * The small TCP services of the old days, on every host of the private network: echo (RFC 862),
 * discard (RFC 863) and character generator (RFC 864).
 *
 * @module
 */

import { type Conn, COPY_BUFFER_BYTES, writeAll } from "../../core/mod.ts";
import type { TcpService } from "./network.ts";

/** Ports of the services here. */
export const ServicePort = { Echo: 7, Discard: 9, Chargen: 19 } as const;

function served(work: (conn: Conn) => Promise<void>): TcpService {
  return (conn) => {
    work(conn).catch(() => {
      // The client went away: nothing to tell and nobody to tell it to.
    }).finally(() => conn.close());
  };
}

/** Sends back what it gets, then ends its side too. */
export const echo: TcpService = served(async (conn) => {
  const buffer = new Uint8Array(COPY_BUFFER_BYTES);
  for (;;) {
    const n = await conn.read(buffer);
    if (n === null) break;
    await writeAll(conn, buffer.subarray(0, n));
  }
  await conn.closeWrite();
});

/** Reads to the end and says nothing. */
export const discard: TcpService = served(async (conn) => {
  const buffer = new Uint8Array(COPY_BUFFER_BYTES);
  while (await conn.read(buffer) !== null);
});

const LINE_CHARS = 72;
const FIRST_CHAR = 0x20;
const CHARS = 95;

/** The 95 lines of the rotating pattern, RFC 864. */
function chargenPattern(): Uint8Array {
  let text = "";
  for (let line = 0; line < CHARS; line++) {
    for (let column = 0; column < LINE_CHARS; column++) {
      text += String.fromCharCode(FIRST_CHAR + (line + column) % CHARS);
    }
    text += "\r\n";
  }
  return new TextEncoder().encode(text);
}

/** Sends lines for as long as somebody takes them; what it gets is thrown away. */
export const chargen: TcpService = served(async (conn) => {
  const pattern = chargenPattern();
  const drain = async () => {
    const buffer = new Uint8Array(COPY_BUFFER_BYTES);
    while (await conn.read(buffer) !== null);
  };
  // Ends by the failure of a write, once the client has closed.
  drain().catch(() => {});
  for (;;) await writeAll(conn, pattern);
});
