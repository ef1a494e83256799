/**
 * The parts inside of `ssh2` that this room has to reach because there is no public way, in one
 * place. They are those of the pinned version; the tests of this room fail when they move.
 *
 * @module
 */

// @ts-types="@types/ssh2"
import type { Client, ClientChannel, Connection } from "ssh2";

interface ClientInternals {
  /** Software version of the server's identification string; undefined before it came. */
  readonly _remoteVer: string | undefined;
  /** Callbacks of global requests in flight, in order. */
  readonly _callbacks: (() => void)[];
  readonly _protocol: {
    ping(): void;
    directTcpip(channel: number, window: number, packet: number, destination: unknown): void;
    channelWindowAdjust(channel: number, bytes: number): void;
    readonly _cipher?: NativeCipher;
    readonly _decipher?: NativeCipher;
    readonly _handlers: Record<
      string,
      ((protocol: unknown, methods: string[], partial: boolean) => void) | undefined
    >;
  };
}

interface ChannelInternals {
  readonly incoming: { state: "open" | "eof" | "closed"; window: number };
  readonly outgoing: { readonly id: number; state: "open" | "eof" | "closing" | "closed" };
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
export function ping(client: Client, onReply: () => void): void {
  // Replies carry no name: the order of the callbacks is all that tells them apart.
  inside(client)._callbacks.push(onReply);
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

/** Window that ssh2 grants and renews by itself. */
const SSH2_WINDOW_BYTES = 2 * 1024 * 1024;

/** Opens `direct-tcpip` channels with this window instead of ssh2's 2 MiB. */
export function setInitialWindow(client: Client, window: () => number): void {
  const protocol = inside(client)._protocol;
  const original = protocol.directTcpip;
  protocol.directTcpip = function (channel, _window, packet, destination) {
    original.call(this, channel, window(), packet, destination);
  };
}

/**
 * Takes the window of a channel away from ssh2, which would renew it when data arrives and not when it
 * is read: ssh2 sees a window that is always full.
 * @returns grants more to the server
 */
export function takeWindow(client: Client, channel: ClientChannel): (bytes: number) => void {
  const { incoming, outgoing } = insideChannel(channel);
  Object.defineProperty(incoming, "window", { get: () => SSH2_WINDOW_BYTES, set: () => {} });
  return (bytes) => {
    const open = outgoing.state === "open" || outgoing.state === "eof";
    if (open && incoming.state === "open") {
      inside(client)._protocol.channelWindowAdjust(outgoing.id, bytes);
    }
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

/** A cipher of either direction, as ssh2 keeps it. */
interface NativeCipher {
  readonly _cipherInstance?: { final(): unknown } | null;
  readonly _decipherInstance?: { final(): unknown } | null;
}

/** Frees what a cipher holds. Idempotent. */
function release(cipher: NativeCipher | undefined): void {
  try {
    (cipher?._cipherInstance ?? cipher?._decipherInstance)?.final();
  } catch {
    // It has been finished already, or the packet is not whole: freed all the same.
  }
}

/**
 * Frees the ciphers of a connection that has ended, client or server. ssh2 leaves that to the garbage
 * collector, which on Deno does not free them: AES-CTR has one for each direction, AES-GCM one for a
 * packet of which only a part has come.
 */
export function releaseCiphers(connection: Client | Connection): void {
  const { _protocol } = connection as unknown as Partial<ClientInternals>;
  release(_protocol?._cipher);
  release(_protocol?._decipher);
}

/** Frees the ciphers of a client that new keys have replaced. */
export function releaseReplacedCiphers(client: Client): void {
  let inUse: (NativeCipher | undefined)[] = [];
  client.on("handshake", () => {
    const { _cipher, _decipher } = inside(client)._protocol;
    for (const cipher of inUse) release(cipher);
    inUse = [_cipher, _decipher];
  });
}
