/**
 * The agent's loop from a connection to the output stream.
 *
 * @module
 */

import type { Clock, Conn } from "../../core/mod.ts";
import { PayloadType } from "../../ssm/constants.ts";
import type { Switches } from "../options.ts";
import type { SessionOutput } from "./session_kind.ts";

/** Bytes of output in one message. */
const PAYLOAD_BYTES = 1024;
const PACE_MS = 1;

/** Options of {@linkcode pumpOutput}. */
export interface OutputPumpOptions {
  readonly clock: Clock;
  readonly switches: Pick<Switches, "pace" | "unacknowledged">;
  readonly signal: AbortSignal;
}

/** Sends what a connection says until its end of input. @throws what the connection throws */
export async function pumpOutput(
  conn: Pick<Conn, "read">,
  output: SessionOutput,
  options: OutputPumpOptions,
): Promise<void> {
  await (options.switches.pace ? paced(conn, output, options) : unpaced(conn, output, options));
}

/** The agent's own loop: at most 1024 bytes, one message, a sleep of a millisecond. */
async function paced(
  conn: Pick<Conn, "read">,
  output: SessionOutput,
  { clock, signal }: OutputPumpOptions,
): Promise<void> {
  const packet = new Uint8Array(PAYLOAD_BYTES);
  for (;;) {
    if (!output.paused) {
      const n = await conn.read(packet);
      if (n === null) return;
      output.send(PayloadType.Output, packet.slice(0, n));
    }
    await clock.sleep(PACE_MS, { signal });
  }
}

/** The same messages without the sleep, held back by a bound on what is unacknowledged. */
async function unpaced(
  conn: Pick<Conn, "read">,
  output: SessionOutput,
  { switches: { unacknowledged: limit } }: OutputPumpOptions,
): Promise<void> {
  const buffer = new Uint8Array(limit * PAYLOAD_BYTES);
  for (;;) {
    await output.ready(limit);
    const n = await conn.read(buffer);
    if (n === null) return;
    for (let at = 0; at < n; at += PAYLOAD_BYTES) {
      await output.ready(limit);
      output.send(PayloadType.Output, buffer.slice(at, Math.min(n, at + PAYLOAD_BYTES)));
    }
  }
}
