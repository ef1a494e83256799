/**
 * The private web site: `http://hello.sandbox.internal/` and whatever else the zone names. It serves
 * connections that are handed to it and listens nowhere.
 *
 * | path | what |
 * |---|---|
 * | `/` | a small page with the host's name |
 * | `/bytes?size=N&seed=S` | N bytes that can be made again, `x-sha256` as a trailer |
 * | `/sha256?size=N&seed=S` | their digest |
 * | `/log?size=N&seed=S` | N bytes of a web server's log |
 * | `/upload?wait=MS` | PUT or POST: answers `{bytes, sha256}`; reads nothing for so long first |
 * | `/headers` | the request as JSON |
 * | `/slow?ms=N` | answers after N milliseconds |
 * | `/status?code=N` | answers with that status |
 * | `/echo` | a WebSocket that sends back what it gets |
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import type { IncomingMessage } from "node:http";
// @ts-types="@types/ws"
import type * as ws from "ws";
import { type Clock, type Conn, getLog } from "../../core/mod.ts";
import { duplexFromConn } from "../../core/node_stream.ts";
import type { EventHub } from "../events.ts";
import { blocksOf, logOf, sha256Of } from "./bytes.ts";
import { type HttpRequest, type HttpResponse, serveHttp, type Upgrade } from "./http.ts";
import { page } from "./page.ts";

/** Largest `size` of `/bytes` and `/sha256`, in bytes. */
const MAX_BYTES = 64 * 1024 ** 3;
/** Longest `ms` of `/slow`. */
const MAX_SLOW_MS = 60 * 60_000;

type Handler = (request: HttpRequest, query: URLSearchParams) => Promise<HttpResponse | Upgrade>;

/** Options of {@linkcode Site}. */
export interface SiteOptions {
  readonly clock: Clock;
  readonly events: EventHub;
}

/** The web site. */
export class Site {
  readonly #options: SiteOptions;
  readonly #conns = new Set<Conn>();
  readonly #closed = new AbortController();

  constructor(options: SiteOptions) {
    this.#options = options;
  }

  /** Serves one connection until it ends. */
  serve(conn: Conn): void {
    this.#conns.add(conn);
    serveHttp(conn, (request) => this.#handle(request)).finally(() => this.#conns.delete(conn));
  }

  /** Ends every connection. Idempotent. */
  close(): void {
    this.#closed.abort();
    for (const conn of this.#conns) conn.close();
  }

  async #handle(request: HttpRequest): Promise<HttpResponse | Upgrade> {
    const { headers, method, target } = request;
    const host = headers.get("host") ?? "";
    this.#options.events.emit({ type: "http-request", method, host, path: target });
    const url = URL.parse(target, "http://site");
    const handler = this.#handlers.get(url?.pathname ?? "");
    if (!url || !handler) return text(404, "Not found");
    return await handler(request, url.searchParams);
  }

  readonly #handlers: ReadonlyMap<string, Handler> = new Map<string, Handler>([
    ["/", ({ headers }) =>
      Promise.resolve({
        status: 200,
        headers: { "content-type": "text/html; charset=utf-8" },
        body: page(headers.get("host") ?? ""),
      })],
    ["/bytes", (_request, query) => {
      const { size, seed } = streamOf(query);
      const hash = createHash("sha256");
      return Promise.resolve({
        status: 200,
        headers: { "content-type": "application/octet-stream", trailer: "x-sha256" },
        body: digested(blocksOf(size, seed), hash),
        trailers: () => ({ "x-sha256": hash.digest("hex") }),
      });
    }],
    ["/sha256", (_request, query) => {
      const { size, seed } = streamOf(query);
      return Promise.resolve(text(200, sha256Of(size, seed)));
    }],
    ["/log", (_request, query) => {
      const { size, seed } = streamOf(query);
      const headers = { "content-type": "text/plain; charset=utf-8" };
      return Promise.resolve({ status: 200, headers, body: logOf(size, seed) });
    }],
    ["/upload", async ({ body }, query) => {
      const wait = numberOf(query, "wait", 0, MAX_SLOW_MS);
      if (wait > 0) await this.#options.clock.sleep(wait, { signal: this.#closed.signal });
      const hash = createHash("sha256");
      let bytes = 0;
      for await (const part of body) {
        bytes += part.byteLength;
        hash.update(part);
      }
      return json({ bytes, sha256: hash.digest("hex") });
    }],
    [
      "/headers",
      ({ headers, method, target: url, version: httpVersion }) =>
        Promise.resolve(json({ method, url, httpVersion, headers: Object.fromEntries(headers) })),
    ],
    ["/slow", async (_request, query) => {
      const ms = numberOf(query, "ms", 3_000, MAX_SLOW_MS);
      await this.#options.clock.sleep(ms, { signal: this.#closed.signal });
      return text(200, `Waited ${ms} ms`);
    }],
    ["/status", (_request, query) => {
      const code = Math.max(200, numberOf(query, "code", 200, 599));
      return Promise.resolve(text(code, `Status ${code}`));
    }],
    ["/echo", (request) =>
      Promise.resolve(
        request.headers.get("upgrade")?.toLowerCase() === "websocket"
          ? (conn, rest) => void this.#echo(request, conn, rest)
          : text(426, "This is a WebSocket"),
      )],
  ]);

  async #echo(request: HttpRequest, conn: Conn, rest: Uint8Array): Promise<void> {
    this.#conns.add(conn);
    const stream = duplexFromConn(conn);
    stream.once("close", () => this.#conns.delete(conn));
    try {
      const { WebSocketServer }: typeof ws = await import("ws");
      const server = new WebSocketServer({ noServer: true, clientTracking: false });
      const { method, target: url } = request;
      // Cast: all that the library looks at in a request.
      const message = {
        method,
        url,
        headers: Object.fromEntries(request.headers),
      } as unknown as IncomingMessage;
      server.handleUpgrade(message, stream, Buffer.from(rest), (webSocket) => {
        webSocket.on("error", () => {});
        webSocket.on("message", (data, binary) => webSocket.send(data, { binary }));
      });
    } catch (error) {
      getLog("sandbox").warn("WebSocket echo failed", { error });
      conn.close();
    }
  }
}

function* digested(
  blocks: Iterable<Uint8Array>,
  hash: { update(data: Uint8Array): unknown },
): Generator<Uint8Array> {
  for (const block of blocks) {
    hash.update(block);
    yield block;
  }
}

function numberOf(query: URLSearchParams, name: string, fallback: number, max: number): number {
  const text = query.get(name);
  const value = text === null ? fallback : Number(text);
  return Number.isSafeInteger(value) && value >= 0 ? Math.min(value, max) : fallback;
}

function streamOf(query: URLSearchParams): { size: number; seed: number } {
  return {
    size: numberOf(query, "size", 1024 * 1024, MAX_BYTES),
    seed: numberOf(query, "seed", 1, 0xffff_ffff),
  };
}

function text(status: number, line: string): HttpResponse {
  return { status, headers: { "content-type": "text/plain" }, body: `${line}\n` };
}

function json(value: unknown): HttpResponse {
  return {
    status: 200,
    headers: { "content-type": "application/json" },
    body: `${JSON.stringify(value)}\n`,
  };
}
