/**
 * How a session has ended, for what stood on it and has failed.
 *
 * @module
 */

import { type Clock, settledWithin } from "../core/mod.ts";
import type { ChannelEnd, Session } from "../ssm/mod.ts";

/** Milliseconds for the end of a session to become known after what stands on it has failed. */
const END_GRACE = 250;

/** How it has ended; undefined when it goes on. */
export async function sessionEnd(
  session: Pick<Session, "closed">,
  clock: Clock,
): Promise<ChannelEnd | undefined> {
  return await settledWithin(clock, END_GRACE, session.closed) ? await session.closed : undefined;
}
