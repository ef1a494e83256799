/**
 * The private web site: `http://hello.sandbox.internal/` and whatever else the zone names. It serves
 * connections that are handed to it and listens nowhere.
 *
 * | path | what |
 * |---|---|
 * | `/` | a small page with the host's name |
 * | `/bytes?size=N&seed=S` | N bytes that can be made again, `x-sha256` as a trailer |
 * | `/sha256?size=N&seed=S` | their digest |
 * | `/upload` | PUT or POST: answers `{bytes, sha256}` |
 * | `/headers` | the request as JSON |
 * | `/slow?ms=N` | answers after N milliseconds |
 * | `/status?code=N` | answers with that status |
 * | `/echo` | a WebSocket that sends back what it gets |
 *
 * @module
 */

import { createHash } from "node:crypto";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
// @ts-types="@types/ws"
import type * as ws from "ws";
import type { Clock, Conn } from "../../core/mod.ts";
import { duplexFromConn } from "../../core/node_stream.ts";
import type { EventHub } from "../events.ts";
import { blocksOf, sha256Of } from "./bytes.ts";
import { page } from "./page.ts";

/** Largest `size` of `/bytes` and `/sha256`, in bytes. */
const MAX_BYTES = 64 * 1024 ** 3;
/** Longest `ms` of `/slow`. */
const MAX_SLOW_MS = 60 * 60_000;

type Handler = (request: IncomingMessage, response: ServerResponse, url: URL) => Promise<void>;

/** Options of {@linkcode Site}. */
export interface SiteOptions {
  readonly clock: Clock;
  readonly events: EventHub;
}

/** The web site. */
export class Site {
  readonly #options: SiteOptions;
  readonly #streams = new Set<Duplex>();
  readonly #closed = new AbortController();
  #server: Promise<Server> | undefined;

  constructor(options: SiteOptions) {
    this.#options = options;
  }

  /** Serves one connection until it ends. */
  serve(conn: Conn): void {
    const stream = duplexFromConn(conn);
    this.#streams.add(stream);
    stream.once("close", () => this.#streams.delete(stream));
    this.#server ??= this.#start();
    this.#server.then((server) => {
      if (!stream.destroyed) server.emit("connection", stream);
    });
  }

  /** Ends every connection. Idempotent. */
  close(): void {
    this.#closed.abort();
    for (const stream of this.#streams) stream.destroy();
  }

  async #start(): Promise<Server> {
    const { createServer } = await import("node:http");
    const { WebSocketServer }: typeof ws = await import("ws");
    const server = createServer((request, response) => {
      this.#handle(request, response).catch(() => response.destroy());
    });
    server.on("clientError", (_error, socket) => socket.destroy());
    const sockets = new WebSocketServer({ noServer: true });
    server.on("upgrade", (request, socket, head) => {
      this.#announce(request);
      if (new URL(request.url ?? "/", "http://site").pathname !== "/echo") {
        socket.end("HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
        return;
      }
      sockets.handleUpgrade(request, socket, head, (webSocket) => {
        webSocket.on("error", () => {});
        webSocket.on("message", (data, binary) => webSocket.send(data, { binary }));
      });
    });
    return server;
  }

  #announce(request: IncomingMessage): void {
    this.#options.events.emit({
      type: "http-request",
      method: request.method ?? "",
      host: request.headers.host ?? "",
      path: request.url ?? "",
    });
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.#announce(request);
    const url = new URL(request.url ?? "/", "http://site");
    const handler = this.#handlers[url.pathname];
    if (!handler) return answer(response, 404, "text/plain", "Not found\n");
    await handler(request, response, url);
  }

  readonly #handlers: Readonly<Record<string, Handler>> = {
    "/": async (request, response) => {
      request.resume();
      await answer(response, 200, "text/html; charset=utf-8", page(request.headers.host ?? ""));
    },
    "/bytes": async (request, response, url) => {
      const { size, seed } = streamOf(url);
      // Trailers need chunks, and HTTP/1.0 has neither.
      const trailers = request.httpVersion === "1.1";
      response.writeHead(200, {
        "content-type": "application/octet-stream",
        ...(trailers ? { "trailer": "x-sha256" } : {}),
      });
      const hash = createHash("sha256");
      for (const block of blocksOf(size, seed)) {
        hash.update(block);
        await write(response, block.slice());
      }
      if (trailers) response.addTrailers({ "x-sha256": hash.digest("hex") });
      response.end();
    },
    "/sha256": async (_request, response, url) => {
      const { size, seed } = streamOf(url);
      await answer(response, 200, "text/plain", `${sha256Of(size, seed)}\n`);
    },
    "/upload": async (request, response) => {
      const hash = createHash("sha256");
      let bytes = 0;
      for await (const chunk of request) {
        bytes += chunk.byteLength;
        hash.update(chunk);
      }
      await answerJson(response, { bytes, sha256: hash.digest("hex") });
    },
    "/headers": async (request, response) => {
      request.resume();
      const { method, url, httpVersion, headers } = request;
      await answerJson(response, { method, url, httpVersion, headers });
    },
    "/slow": async (_request, response, url) => {
      const ms = numberOf(url, "ms", 3_000, MAX_SLOW_MS);
      await this.#options.clock.sleep(ms, { signal: this.#closed.signal });
      await answer(response, 200, "text/plain", `Waited ${ms} ms\n`);
    },
    "/status": async (request, response, url) => {
      request.resume();
      const code = Math.max(200, numberOf(url, "code", 200, 599));
      await answer(response, code, "text/plain", `Status ${code}\n`);
    },
  };
}

function numberOf(url: URL, name: string, fallback: number, max: number): number {
  const text = url.searchParams.get(name);
  const value = text === null ? fallback : Number(text);
  return Number.isSafeInteger(value) && value >= 0 ? Math.min(value, max) : fallback;
}

function streamOf(url: URL): { size: number; seed: number } {
  return {
    size: numberOf(url, "size", 1024 * 1024, MAX_BYTES),
    seed: numberOf(url, "seed", 1, 0xffff_ffff),
  };
}

/** Writes a chunk and waits until more may follow; fails once the client has gone. */
function write(response: ServerResponse, chunk: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    if (response.destroyed) return reject(new Deno.errors.BrokenPipe("The client has gone"));
    if (response.write(chunk)) return resolve();
    const settle = () => {
      response.off("drain", settle);
      response.off("close", settle);
      if (response.destroyed) reject(new Deno.errors.BrokenPipe("The client has gone"));
      else resolve();
    };
    response.on("drain", settle);
    response.on("close", settle);
  });
}

function answer(
  response: ServerResponse,
  status: number,
  type: string,
  body: string,
): Promise<void> {
  const bytes = new TextEncoder().encode(body);
  response.writeHead(status, { "content-type": type, "content-length": bytes.byteLength });
  response.end(bytes);
  return Promise.resolve();
}

function answerJson(response: ServerResponse, value: unknown): Promise<void> {
  return answer(response, 200, "application/json", `${JSON.stringify(value)}\n`);
}
