/**
 * The gateway's WebSocket endpoint: `ws://127.0.0.1:PORT/v1/data-channel/<session-id>`.
 *
 * @module
 */

import type { Buffer } from "node:buffer";
import type { IncomingMessage, Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
// @ts-types="@types/ws"
import type * as ws from "ws";
import { type Clock, getLog, type Timer } from "../../core/mod.ts";
import { coalesceWrites } from "../../core/node_stream.ts";
import { SignatureFault, verifySignature } from "../api/signature.ts";
import type { UpgradeSignature } from "../events.ts";
import type { Identities } from "../identities.ts";
import type { Switches } from "../options.ts";
import type { GatewaySession } from "./session.ts";
import type { ClientSocket } from "./session_types.ts";

/** How long a client may take for OpenDataChannel, in milliseconds. */
const OPEN_TIMEOUT_MS = 10_000;
/** How long a closing WebSocket waits for the client's close frame, in milliseconds. */
const CLOSE_TIMEOUT_MS = 2_000;
const POLICY_VIOLATION = 1008;

/** Options of {@linkcode GatewayServer}. */
export interface GatewayServerOptions {
  readonly clock: Clock;
  readonly region: string;
  readonly identities: Identities;
  readonly switches: () => Switches;
  readonly session: (sessionId: string) => GatewaySession | undefined;
}

/** The endpoint. */
export class GatewayServer {
  readonly #options: GatewayServerOptions;
  readonly #sockets = new Set<Duplex>();
  readonly #timers = new Set<Timer>();
  #http: Server | undefined;
  #webSockets: ws.WebSocketServer | undefined;
  #upgradeErrors = 0;

  constructor(options: GatewayServerOptions) {
    this.#options = options;
    this.#upgradeErrors = options.switches().upgradeErrors;
  }

  /** Answers the next `count` upgrade requests with an error page. */
  failUpgrades(count: number): void {
    this.#upgradeErrors = count;
  }

  /** Listens on a free loopback port. @returns `ws://127.0.0.1:PORT` */
  async listen(): Promise<string> {
    const { createServer } = await import("node:http");
    const { WebSocketServer }: typeof ws = await import("ws");
    this.#webSockets = new WebSocketServer({
      noServer: true,
      clientTracking: false,
      // An option of ws since 8.19 that the types do not know yet.
      ...{ closeTimeout: CLOSE_TIMEOUT_MS },
    });
    const server = createServer((_request, response) => {
      response.writeHead(400, { "content-type": "text/plain" });
      response.end("This endpoint speaks WebSocket only\n");
    });
    server.on("connection", (socket) => {
      this.#sockets.add(socket);
      socket.once("close", () => this.#sockets.delete(socket));
    });
    server.on("upgrade", (request, socket, head) => {
      this.#upgrade(request, socket, head).catch((error) => {
        getLog("sandbox").warn("Gateway failed on an upgrade request", { error });
        socket.destroy();
      });
    });
    this.#http = server;
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(0, "127.0.0.1", resolve);
    });
    return `ws://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  /** Ends every connection. Idempotent. */
  async close(): Promise<void> {
    for (const timer of this.#timers) timer.cancel();
    this.#timers.clear();
    for (const socket of this.#sockets) socket.destroy();
    const server = this.#http;
    this.#http = undefined;
    if (server) await new Promise<void>((resolve) => server.close(() => resolve()));
  }

  async #upgrade(request: IncomingMessage, socket: Duplex, head: Uint8Array): Promise<void> {
    // The library takes over error handling only once the upgrade is done.
    const onError = () => socket.destroy();
    socket.on("error", onError);
    if (this.#upgradeErrors > 0) {
      this.#upgradeErrors--;
      return refuse(socket, 503, "Service Unavailable", "text/html", ERROR_PAGE);
    }
    const url = request.url ?? "";
    const sessionId = /^\/v1\/data-channel\/([^/?]+)\?/.exec(url)?.[1];
    const session = sessionId === undefined ? undefined : this.#options.session(sessionId);
    if (!session?.admits(url)) return refuse(socket, 404, "Not Found", "text/plain", "");
    const signature = await this.#checkSignature(request);
    if (signature !== "valid" && this.#options.switches().signedUpgrade === "require") {
      const body = JSON.stringify({ message: "Missing Authentication Token" });
      return refuse(socket, 403, "Forbidden", "application/json", body);
    }
    socket.off("error", onError);
    // An acknowledgement for each message of 1 KiB, each after a wait of its own.
    coalesceWrites(socket, setImmediate);
    this.#webSockets!.handleUpgrade(request, socket, head as Buffer, (webSocket) => {
      this.#serve(session, webSocket, signature);
    });
  }

  async #checkSignature(request: IncomingMessage): Promise<UpgradeSignature> {
    const { clock, identities, region, switches } = this.#options;
    if (switches().signedUpgrade === "ignore") return "unchecked";
    const [path = "", query = ""] = (request.url ?? "").split(/\?(.*)/s);
    const header = (name: string) => {
      const value = request.headers[name];
      return Array.isArray(value) ? value.join(",") : value;
    };
    try {
      const scope = { service: "ssmmessages", region, now: clock.now() };
      const signed = { method: "GET", path, query, header, body: new Uint8Array() };
      await verifySignature(signed, scope, identities);
      return "valid";
    } catch (error) {
      if (!(error instanceof SignatureFault)) throw error;
      getLog("sandbox").warn("Upgrade request is not signed as it should be", {
        problem: error.problem,
      });
      return error.problem === "missing" ? "missing" : "invalid";
    }
  }

  /** Waits for OpenDataChannel, then hands everything to the session. */
  #serve(session: GatewaySession, webSocket: ws.WebSocket, signature: UpgradeSignature): void {
    const client: ClientSocket = {
      signature,
      send: (bytes) => webSocket.send(bytes, { binary: true }),
      close: (code, reason) => webSocket.close(code, reason),
      terminate: () => webSocket.terminate(),
      pause: () => webSocket.pause(),
      resume: () => webSocket.resume(),
    };
    let opened = false;
    const limit = this.#options.clock.after(OPEN_TIMEOUT_MS, () => {
      webSocket.close(POLICY_VIOLATION, "OpenDataChannel is overdue");
    });
    this.#timers.add(limit);
    const settle = () => {
      limit.cancel();
      this.#timers.delete(limit);
    };
    webSocket.on("error", () => {
      // "close" follows and carries all that matters.
    });
    webSocket.on("message", (data: ws.RawData, binary: boolean) => {
      const bytes = data as Buffer;
      if (opened) return session.fromClient(client, bytes);
      settle();
      const refusal = binary
        ? "OpenDataChannel must be a text message"
        : session.open(client, bytes.toString());
      opened = refusal === undefined;
      if (refusal) {
        getLog("sandbox").warn("Data channel refused: {refusal}", { refusal });
        webSocket.close(POLICY_VIOLATION, refusal);
      }
    });
    webSocket.on("close", (code: number) => {
      settle();
      session.clientGone(client, code);
    });
  }
}

const ERROR_PAGE = `<html>
<head><title>503 Service Temporarily Unavailable</title></head>
<body><center><h1>503 Service Temporarily Unavailable</h1></center></body>
</html>
`;

function refuse(
  socket: Duplex,
  status: number,
  reason: string,
  type: string,
  body: string,
): void {
  socket.end(
    `HTTP/1.1 ${status} ${reason}\r\nContent-Type: ${type}\r\n` +
      `Content-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`,
  );
}
