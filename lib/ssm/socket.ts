/**
 * The WebSocket under a data channel: npm `ws`, because it gives ping with pong, upgrade headers, a
 * proxy agent and a private CA. The upgrade is signed like any other request.
 *
 * @module
 */

import type { Buffer } from "node:buffer";
import type { Agent, ClientRequest, IncomingMessage } from "node:http";
import type { ClientOptions, WebSocket } from "ws";
import { AwsocksError, type CredentialSource, toAwsocksError } from "../core/mod.ts";
import { coalesceWrites } from "../core/node_stream.ts";

/** Why a socket ended. Every code is a reason to resume, 1000 "Bye" included. */
export interface SocketClose {
  /** WebSocket close code; 1006 without a close frame. */
  readonly code: number;
  readonly reason: string;
}

/** What a socket tells its owner. Called from the event loop; must not throw. */
export interface SocketEvents {
  /** A binary or text message, as bytes. */
  message(bytes: Uint8Array): void;
  /** A pong. */
  pong(): void;
  /** Data that was waiting has gone out. */
  drained(): void;
  /** It has ended; called once, never after `FrameSocket.close`. */
  closed(close: SocketClose): void;
}

/** An open WebSocket. */
export interface FrameSocket {
  /** Bytes that wait to be sent. */
  readonly bufferedAmount: number;
  /** Text for a string, binary for bytes. Silently lost when the socket is closing. */
  send(data: string | Uint8Array): void;
  ping(): void;
  /** Stops reading, which holds the sender back. */
  pause(): void;
  resume(): void;
  /** Drops it at once, without events. */
  close(): void;
}

/** Opens a socket to a StreamUrl. */
export type SocketConnector = (
  url: string,
  events: SocketEvents,
  options?: { signal?: AbortSignal | undefined },
) => Promise<FrameSocket>;

/** What a {@linkcode SocketConnector} needs; the room `aws` has all of it. */
export interface ConnectorOptions {
  readonly credentials: CredentialSource;
  /** Headers of the signed upgrade for a `ws:` or `wss:` URL. */
  readonly signUpgrade: (
    url: string,
    credentials: Awaited<ReturnType<CredentialSource>>,
  ) => Promise<Headers>;
  /** Maps the StreamUrl to the one to dial. */
  readonly rewriteUrl?: (url: string) => string;
  /** URL of the proxy for a URL, if one applies. */
  readonly proxyFor: (url: string) => string | undefined;
  /** PEM certificates trusted besides the system's. */
  readonly caCerts: readonly string[];
  /** Limit for DNS, TCP, TLS and upgrade together, in milliseconds; default 45,000. */
  readonly timeout?: number;
}

/** A message larger than this ends the socket; the agent's largest is about 1.2 KiB. */
const MAX_MESSAGE_BYTES = 4 * 1024 * 1024;
const DEFAULT_DIAL_TIMEOUT = 45_000;
const PING_BODY = "keepalive";

/** A connector over npm `ws`. */
export function createSocketConnector(options: ConnectorOptions): SocketConnector {
  return async (streamUrl, events, { signal } = {}) => {
    const url = options.rewriteUrl?.(streamUrl) ?? streamUrl;
    const { WebSocket } = await import("ws");
    const clientOptions: ClientOptions = {
      headers: await upgradeHeaders(url, options, signal),
      handshakeTimeout: options.timeout ?? DEFAULT_DIAL_TIMEOUT,
      maxPayload: MAX_MESSAGE_BYTES,
      perMessageDeflate: false,
      followRedirects: false,
    };
    const agent = await agentFor(url, options);
    if (agent) clientOptions.agent = agent;
    if (options.caCerts.length > 0) {
      const { rootCertificates } = await import("node:tls");
      // In one text: of a list, Deno before 2.8 takes the first entry only.
      clientOptions.ca = [...rootCertificates, ...options.caCerts].join("\n");
    }
    signal?.throwIfAborted();
    return await dial(() => new WebSocket(url, clientOptions), url, events, signal);
  };
}

/** Who opens the connection below the WebSocket; undefined for the library itself. */
async function agentFor(url: string, options: ConnectorOptions): Promise<Agent | undefined> {
  const proxy = options.proxyFor(url);
  if (proxy) {
    const { HttpsProxyAgent } = await import("https-proxy-agent");
    return new HttpsProxyAgent(proxy);
  }
  if (!/^wss:/i.test(url)) return undefined;
  // The library's own way to open TLS fails on Deno before 2.8.
  const https = await import("node:https");
  return new https.Agent();
}

/** A URL that carries a signature in its query is sent as it is. */
async function upgradeHeaders(
  url: string,
  options: ConnectorOptions,
  signal: AbortSignal | undefined,
): Promise<Record<string, string>> {
  if (/[?&]X-Amz-Signature=/i.test(url)) return {};
  const credentials = await options.credentials(signal ? { signal } : {});
  const headers: Record<string, string> = {};
  for (const [name, value] of await options.signUpgrade(url, credentials)) {
    if (name.toLowerCase() !== "host") headers[name] = value;
  }
  return headers;
}

/** Scheme and host only: the rest of a StreamUrl names the session. */
function hostOf(url: string): string {
  return URL.canParse(url) ? new URL(url).host : "the data channel";
}

function dial(
  open: () => WebSocket,
  url: string,
  events: SocketEvents,
  signal: AbortSignal | undefined,
): Promise<FrameSocket> {
  return new Promise((resolve, reject) => {
    const socket = open();
    socket.binaryType = "nodebuffer";
    let opened = false;
    let silent = false;
    const fail = (error: AwsocksError) => {
      if (silent) return;
      silent = true;
      signal?.removeEventListener("abort", onAbort);
      socket.terminate();
      reject(error);
    };
    const onAbort = () => fail(toAwsocksError(signal?.reason, "aborted"));
    signal?.addEventListener("abort", onAbort, { once: true });

    socket.on("open", () => {
      opened = true;
      signal?.removeEventListener("abort", onAbort);
      resolve(frameSocket(socket, events, () => silent = true));
    });
    // Messages of 1 KiB come by the dozen.
    socket.on("upgrade", (response: IncomingMessage) => void coalesceWrites(response.socket));
    socket.on("unexpected-response", (_request: ClientRequest, response: IncomingMessage) => {
      response.resume();
      fail(refused(url, response.statusCode ?? 0, response.headers["x-amzn-requestid"]));
    });
    socket.on("error", (cause: Error) => {
      if (opened) return; // "close" follows
      fail(unreachable(url, cause));
    });
    socket.on("close", (code: number, reason: Buffer) => {
      if (!opened) return fail(unreachable(url, new Error(`closed with code ${code}`)));
      if (silent) return;
      silent = true;
      events.closed({ code, reason: reason.toString() });
    });
    socket.on("message", (data: Buffer) => {
      if (!silent) events.message(data);
    });
    socket.on("pong", () => {
      if (!silent) events.pong();
    });
  });
}

function frameSocket(socket: WebSocket, events: SocketEvents, silence: () => void): FrameSocket {
  const sent = () => events.drained();
  return {
    get bufferedAmount() {
      return socket.bufferedAmount;
    },
    send(data) {
      if (socket.readyState === socket.OPEN) socket.send(data, sent);
    },
    ping() {
      if (socket.readyState === socket.OPEN) socket.ping(PING_BODY);
    },
    pause: () => socket.pause(),
    resume: () => socket.resume(),
    close() {
      silence();
      socket.terminate();
    },
  };
}

function refused(
  url: string,
  status: number,
  requestId: string | string[] | undefined,
): AwsocksError {
  const denied = status === 401 || status === 403;
  return new AwsocksError(
    denied ? "aws-access-denied" : "aws-unavailable",
    `Could not open the data channel: ${hostOf(url)} answered with HTTP status ${status}`,
    {
      facts: { status, requestId: requestId === undefined ? undefined : String(requestId) },
      ...(denied && {
        hint: "the caller needs ssm:StartSession and ssmmessages:OpenDataChannel",
      }),
    },
  );
}

function unreachable(url: string, cause: Error): AwsocksError {
  return new AwsocksError(
    "aws-unreachable",
    `Could not open the data channel to ${hostOf(url)}`,
    { cause },
  );
}
