/**
 * The parts inside of `ssh2` that this room has to reach because there is no public way, in one
 * place. They are those of the pinned version; the tests of this room fail when they move.
 *
 * @module
 */

// @ts-types="@types/ssh2"
import type { Client, ClientChannel } from "ssh2";

interface ClientInternals {
  /** Software version of the server's identification string; undefined before it came. */
  readonly _remoteVer: string | undefined;
  /** Callbacks of global requests in flight, in order. */
  readonly _callbacks: (() => void)[];
  readonly _protocol: {
    ping(): void;
    readonly _handlers: Record<
      string,
      ((protocol: unknown, methods: string[], partial: boolean) => void) | undefined
    >;
  };
}

interface ChannelInternals {
  readonly incoming: { state: "open" | "eof" | "closed" };
  readonly outgoing: { state: "open" | "eof" | "closing" | "closed" };
}

// Casts: private fields of the pinned version, each read nowhere else.
const inside = (client: Client) => client as unknown as ClientInternals;
const insideChannel = (channel: ClientChannel) => channel as unknown as ChannelInternals;

/** Software version that the server named, for example `OpenSSH_9.2p1`; undefined before its banner. */
export function serverVersion(client: Client): string | undefined {
  return inside(client)._remoteVer;
}

/**
 * Sends `keepalive@openssh.com`, a global request that every server answers, if only with a refusal
 * (RFC 4254 section 4). ssh2 has the same, but on a timer of its own that is deaf to other traffic.
 */
export function ping(client: Client): void {
  // Replies carry no name: the order of the callbacks is all that tells them apart.
  inside(client)._callbacks.push(() => {});
  inside(client)._protocol.ping();
}

/** Calls back with the methods that the server offers, each time it has refused one. */
export function onAuthRefused(client: Client, callback: (methods: string[]) => void): void {
  const handlers = inside(client)._protocol._handlers;
  const original = handlers.USERAUTH_FAILURE;
  handlers.USERAUTH_FAILURE = (protocol, methods, partial) => {
    callback(methods);
    original?.(protocol, methods, partial);
  };
}

/** True once the server has said that it sends no more (CHANNEL_EOF or CHANNEL_CLOSE). */
export function serverEnded(channel: ClientChannel): boolean {
  return insideChannel(channel).incoming.state !== "open";
}

/** True until either side has closed the channel, or this side has sent its EOF. */
export function canSend(channel: ClientChannel): boolean {
  return insideChannel(channel).outgoing.state === "open";
}

/**
 * Sends CHANNEL_CLOSE and keeps ssh2 from sending anything on the channel afterwards, which RFC 4254
 * section 5.3 forbids: it would go on to adjust the window for data under way, and Dropbear and Go's
 * server end the whole connection over a message for a channel that is gone.
 */
export function sendClose(channel: ClientChannel): void {
  channel.close();
  insideChannel(channel).outgoing.state = "closed";
}
