/**
 * The beginning of a tunnel: the control stream and the greeting on it, within a limit.
 *
 * @module
 */

import { AwsocksError, type Clock, type Conn, withDeadline } from "../core/mod.ts";
import type { SmuxSession } from "../smux/mod.ts";
import { endOfTunnel, type Peer } from "./ending.ts";
import { exchangeHello, type Hello } from "./hello.ts";

/** Milliseconds from the connection to the end of the greeting. */
export const GREETING_LIMIT_MS = 10_000;

/** Options of {@linkcode greet}. */
export interface GreetOptions {
  /** Who is at the other end. */
  readonly peer: Peer;
  readonly own: Omit<Hello, "protocol">;
  /** Gets the control stream. */
  readonly control: (signal: AbortSignal) => Promise<Conn>;
  readonly clock: Clock;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Greets the peer of a session.
 * @throws AwsocksError `tunnel-…`; the reason of the signal. The session is closed then
 */
export async function greet(
  session: SmuxSession,
  options: GreetOptions,
): Promise<{ readonly stream: Conn; readonly hello: Hello }> {
  const { peer, own, control, clock, signal } = options;
  const seconds = GREETING_LIMIT_MS / 1000;
  try {
    return await withDeadline(
      clock,
      GREETING_LIMIT_MS,
      () => new AwsocksError("tunnel-closed", `The ${peer} sent no greeting within ${seconds} s`),
      async (limited) => {
        const stream = await control(limited);
        return { stream, hello: await exchange(stream, peer, own) };
      },
      signal,
    );
  } catch (error) {
    session.close();
    throw signal?.aborted ? signal.reason : endOfTunnel(peer, error);
  }
}

async function exchange(stream: Conn, peer: Peer, own: Omit<Hello, "protocol">): Promise<Hello> {
  try {
    return await exchangeHello(stream, peer, own);
  } catch (error) {
    // Our greeting must get out before the end, so that a peer which does not fit can say so itself.
    await stream.closeWrite().catch(() => {});
    throw error;
  }
}
