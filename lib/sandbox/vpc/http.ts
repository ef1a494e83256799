/**
 * A small HTTP/1.x server for one Conn: keep-alive, chunks, trailers, `Expect: 100-continue`, upgrades,
 * and an answer for clients that have closed their half. It exists because the servers of Deno and Node
 * serve sockets only, and hang up on a half-closed one.
 *
 * @module
 */

import { STATUS_CODES } from "node:http";
import { type Conn, writeAll } from "../../core/mod.ts";
import { HttpInput, HttpSyntaxError, type RequestHead } from "./http_input.ts";

/** A request. */
export interface HttpRequest extends RequestHead {
  /** Parts are valid until the next one is asked for. What is not read is skipped. */
  readonly body: AsyncIterable<Uint8Array>;
}

/** An answer. */
export interface HttpResponse {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** Text, bytes, or parts that are written out before the next one is asked for. */
  readonly body?: string | Uint8Array | Iterable<Uint8Array>;
  /** Trailer fields, asked for after the last part; HTTP/1.0 clients do not get them. */
  readonly trailers?: () => Readonly<Record<string, string>>;
}

/** Takes over the connection after an upgrade request; `rest` came behind it. */
export type Upgrade = (conn: Conn, rest: Uint8Array) => void;

/** Answers a request, or takes over its connection. */
export type HttpHandler = (request: HttpRequest) => Promise<HttpResponse | Upgrade>;

const encoder = new TextEncoder();

/** Serves a connection until it ends, then closes it. Never rejects. */
export async function serveHttp(conn: Conn, handler: HttpHandler): Promise<void> {
  const input = new HttpInput(conn);
  try {
    for (;;) {
      const head = await input.head();
      if (!head) break;
      const next = await answerOne(conn, input, head, handler);
      if (next === "taken") return;
      if (next === "close") break;
    }
    await conn.closeWrite();
  } catch (error) {
    if (error instanceof HttpSyntaxError) await refuse(conn, error).catch(() => {});
    // Otherwise the client has gone: nobody is left to tell.
  }
  conn.close();
}

async function answerOne(
  conn: Conn,
  input: HttpInput,
  head: RequestHead,
  handler: HttpHandler,
): Promise<"next" | "close" | "taken"> {
  let waits = head.headers.get("expect")?.toLowerCase() === "100-continue";
  const body = input.body(head, async () => {
    if (!waits) return;
    waits = false;
    await writeAll(conn, encoder.encode("HTTP/1.1 100 Continue\r\n\r\n"));
  });
  const response = await handler({ ...head, body });
  if (typeof response === "function") {
    response(conn, input.takeRest());
    return "taken";
  }
  // A client that was not told to go on sends no body, or does: there is no telling where it continues.
  const keep = keepsAlive(head) && !waits;
  const complete = await respond(conn, head, response, keep);
  if (!keep || !complete) return "close";
  for await (const _part of body);
  return "next";
}

function keepsAlive(head: RequestHead): boolean {
  const connection = head.headers.get("connection")?.toLowerCase() ?? "";
  return head.version === "1.1" && !connection.split(/\s*,\s*/).includes("close");
}

/** @returns false when the end of the body is the end of the connection */
async function respond(
  conn: Conn,
  head: RequestHead,
  response: HttpResponse,
  keep: boolean,
): Promise<boolean> {
  const { headers = {}, status } = response;
  const body = typeof response.body === "string"
    ? encoder.encode(response.body)
    : response.body ?? new Uint8Array();
  const whole = body instanceof Uint8Array;
  const chunked = !whole && head.version === "1.1";
  const lines = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? "Unknown"}`,
    ...Object.entries({
      ...headers,
      ...(whole ? { "content-length": String(body.byteLength) } : {}),
      ...(chunked ? { "transfer-encoding": "chunked" } : {}),
      ...(keep ? {} : { connection: "close" }),
    }).map(([name, value]) => `${name}: ${value}`),
  ];
  await writeAll(conn, encoder.encode(`${lines.join("\r\n")}\r\n\r\n`));
  if (head.method === "HEAD" || status === 204 || status === 304) return true;
  if (whole) await writeAll(conn, body);
  else if (chunked) await writeChunks(conn, body, response.trailers);
  else for (const part of body) await writeAll(conn, part);
  return whole || chunked;
}

async function writeChunks(
  conn: Conn,
  body: Iterable<Uint8Array>,
  trailers: HttpResponse["trailers"],
): Promise<void> {
  for (const part of body) {
    if (part.byteLength === 0) continue;
    await writeAll(conn, encoder.encode(`${part.byteLength.toString(16)}\r\n`));
    await writeAll(conn, part);
    await writeAll(conn, encoder.encode("\r\n"));
  }
  const fields = Object.entries(trailers?.() ?? {}).map(([name, value]) => `${name}: ${value}\r\n`);
  await writeAll(conn, encoder.encode(`0\r\n${fields.join("")}\r\n`));
}

async function refuse(conn: Conn, error: HttpSyntaxError): Promise<void> {
  const head: RequestHead = { method: "GET", target: "/", version: "1.1", headers: new Map() };
  const body = `${error.message}\n`;
  await respond(
    conn,
    head,
    { status: 400, headers: { "content-type": "text/plain" }, body },
    false,
  );
  await conn.closeWrite();
}
