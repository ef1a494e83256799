/**
 * Plain HTTP through the proxy: a request for an absolute `http://` URL becomes one for its path, sent
 * to its server, and one request makes one connection.
 *
 * Client and server are each shown to the relay through a view that rewrites the head and leaves the
 * body alone. `Connection: close` on both sides replaces keep-alive, because the client's next request
 * may be for another server.
 *
 * @module
 */

import { AwsocksError, type Conn } from "../core/mod.ts";
import { BufferedConn } from "./buffered_conn.ts";
import type { ClientRequest } from "./client_request.ts";
import { type BodyMeter, requestBody } from "./http_body.ts";
import { encodeHead, endToEndHeaders, type Head, parseResponseHead } from "./http_head.ts";
import { encodeRefusal } from "./http_refusal.ts";
import { clientTarget } from "./target.ts";

/**
 * Authority (host and optional port) and the rest of an `http:` URL. User information is not accepted
 * (RFC 9110 section 4.2.4).
 */
const ABSOLUTE_FORM = /^http:\/\/((\[[^\]/?#]*\]|[^:/?#@[\]]+)(?::(\d{0,5}))?)([/?][^#]*)?$/i;

/**
 * What to do with a request in absolute form (RFC 9112 section 3.2.2).
 * @throws AwsocksError `proxy-protocol-error`, `proxy-command-unsupported`
 */
export function forwardRequest(head: Head): Required<Pick<ClientRequest, "target" | "adapt">> {
  const [method, url, version] = head.start;
  const [, authority, host, port, rest = "/"] = ABSOLUTE_FORM.exec(url) ?? [];
  if (authority === undefined || host === undefined) throw notForwarded(method, url);
  const target = clientTarget(host, Number(port || 80));
  const body = requestBody(head);
  const request = encodeHead({
    start: [method, rest.startsWith("/") ? rest : `/${rest}`, version],
    headers: [
      // The URL overrules the Host that the client sent (RFC 9112 section 3.2.2).
      ["Host", authority],
      // No Via: it makes many servers stop compressing.
      ...endToEndHeaders(head).filter(([name]) => name.toLowerCase() !== "host"),
      ["Connection", "close"],
    ],
  });
  const adapt = (client: Conn, remote: Conn) =>
    [new RequestView(client, request, body), new ResponseView(remote, method)] as const;
  return { target, adapt };
}

function notForwarded(method: string, url: string): AwsocksError {
  if (url.startsWith("/") || url === "*") {
    const hint = "enter this address as SOCKS5 or HTTP proxy in the browser or program";
    return new AwsocksError("proxy-protocol-error", "This is a proxy, not a web server", { hint });
  }
  return new AwsocksError(
    "proxy-command-unsupported",
    `Cannot ${method} this URL: only plain http: URLs without a user are forwarded`,
    { hint: "use CONNECT or SOCKS5 for everything else" },
  );
}

/** Bytes that are read before those of the connection behind them. */
class Prefix {
  #bytes: Uint8Array;

  constructor(bytes: Uint8Array = new Uint8Array(0)) {
    this.#bytes = bytes;
  }

  get empty(): boolean {
    return this.#bytes.length === 0;
  }

  take(into: Uint8Array): number {
    const part = this.#bytes.subarray(0, into.length);
    into.set(part);
    this.#bytes = this.#bytes.subarray(part.length);
    return part.length;
  }
}

/** The client as the source of exactly one request. */
class RequestView implements Conn {
  readonly #client: Conn;
  readonly #head: Prefix;
  readonly #body: BodyMeter;
  #answered = false;

  constructor(client: Conn, head: Uint8Array, body: BodyMeter) {
    this.#client = client;
    this.#head = new Prefix(head);
    this.#body = body;
  }

  async read(into: Uint8Array): Promise<number | null> {
    if (!this.#head.empty) return this.#head.take(into);
    for (;;) {
      const n = await this.#client.read(into);
      if (n === null || this.#answered) return null;
      // What follows the body is dropped: it may be meant for another server. Reading goes on, because
      // the end of input must still be noticed.
      const taken = this.#body.take(into.subarray(0, n));
      if (taken > 0) return taken;
    }
  }

  write(data: Uint8Array): Promise<number> {
    return this.#client.write(data);
  }

  /** The server has said everything, so the exchange is over, whatever the client still sends. */
  closeWrite(): Promise<void> {
    this.#answered = true;
    return this.#client.closeWrite();
  }

  close(): void {
    this.#client.close();
  }
}

/** The server as the source of one response, with which its connection ends. */
class ResponseView implements Conn {
  readonly #server: BufferedConn;
  readonly #method: string;
  #head = new Prefix();
  #next: "head" | "body" | "nothing" = "head";

  constructor(server: Conn, method: string) {
    this.#server = new BufferedConn(server);
    this.#method = method;
  }

  async read(into: Uint8Array): Promise<number | null> {
    if (this.#head.empty && this.#next === "head") this.#head = new Prefix(await this.#readHead());
    if (!this.#head.empty) return this.#head.take(into);
    return this.#next === "body" ? await this.#server.read(into) : null;
  }

  async #readHead(): Promise<Uint8Array> {
    try {
      const head = await this.#server.parse(parseResponseHead);
      // An interim response passes unchanged, and another head follows (RFC 9110 section 15.2).
      if (head.start[1].startsWith("1")) return encodeHead(head);
      this.#next = "body";
      return encodeHead({
        ...head,
        headers: [...endToEndHeaders(head), ["Connection", "close"]],
      });
    } catch (cause) {
      this.#next = "nothing";
      const message = "The server ended the connection without a valid HTTP response";
      const failure = new AwsocksError("destination-failed", message, { cause });
      return encodeRefusal(failure, this.#method);
    }
  }

  write(data: Uint8Array): Promise<number> {
    return this.#server.write(data);
  }

  /** The client has left, or says that it sends no more: servers tell these apart as they always do. */
  closeWrite(): Promise<void> {
    return this.#server.closeWrite();
  }

  close(): void {
    this.#server.close();
  }
}
