/**
 * Real peers on loopback: an HTTP or HTTPS server that records what it gets, an HTTP proxy, and a
 * certificate authority made on the spot.
 *
 * @module
 */

import { DenoConn, relay } from "../../lib/core/mod.ts";

/** A request as the server saw it. */
export interface SeenRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: Headers;
  readonly body: string;
}

/** A running server. */
export interface Peer extends AsyncDisposable {
  /** `http://127.0.0.1:PORT`, without a slash at the end. */
  readonly url: string;
  readonly port: number;
  /** Every request so far. */
  readonly requests: SeenRequest[];
}

/** Answers the nth request, counting from 0. */
export type Handler = (
  request: SeenRequest,
  index: number,
) => Response | Promise<Response>;

/** Serves on a free loopback port, with TLS if a key pair is given. */
export function serve(handler: Handler, tls?: KeyPair): Peer {
  const requests: SeenRequest[] = [];
  const server = Deno.serve({
    hostname: "127.0.0.1",
    port: 0,
    onListen: () => {},
    ...(tls && { cert: tls.cert, key: tls.key }),
  }, async (incoming) => {
    const request: SeenRequest = {
      method: incoming.method,
      url: incoming.url,
      headers: new Headers(incoming.headers),
      body: await incoming.text(),
    };
    return await handler(request, requests.push(request) - 1);
  });
  return {
    url: `${tls ? "https" : "http"}://127.0.0.1:${server.addr.port}`,
    port: server.addr.port,
    requests,
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}

/** An answer that comes when this is disposed of, for clients that shall not wait so long. */
export function heldAnswer(): Disposable & { readonly answer: Promise<Response> } {
  const { promise, resolve } = Promise.withResolvers<Response>();
  return { answer: promise, [Symbol.dispose]: () => resolve(new Response()) };
}

/** Polls until `condition` holds, for at most five seconds. */
export async function until(condition: () => boolean): Promise<void> {
  for (let tries = 0; !condition(); tries++) {
    if (tries > 5_000) throw new Error("The condition did not come true in time");
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

/** A port on which nobody listens. One that was free a moment ago may be another test's by now. */
export function closedPort(): number {
  return 2;
}

/** Options of {@linkcode startProxy}. */
export interface ProxyOptions {
  /** Port on loopback to which every CONNECT leads, whatever it names. */
  readonly to: number;
  /** Sent instead of connecting. */
  readonly refuse?: string;
}

/** A running proxy. */
export interface Proxy extends AsyncDisposable {
  /** `127.0.0.1:PORT`. */
  readonly host: string;
  /** Header block of each request. */
  readonly requests: string[];
}

/** An HTTP proxy that knows CONNECT, and any other method only to refuse it. */
export function startProxy(options: ProxyOptions): Proxy {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const requests: string[] = [];
  const live = new Set<Promise<void>>();
  const open = new Set<Deno.TcpConn>();
  const handle = async (client: Deno.TcpConn) => {
    open.add(client);
    try {
      requests.push(await readHead(client));
      if (options.refuse !== undefined || !requests.at(-1)!.startsWith("CONNECT ")) {
        await client.write(encoder.encode(options.refuse ?? "HTTP/1.1 405 No\r\n\r\n"));
        client.close();
        return;
      }
      const server = await Deno.connect({ hostname: "127.0.0.1", port: options.to });
      open.add(server);
      await client.write(encoder.encode("HTTP/1.1 200 Connection established\r\n\r\n"));
      await relay(new DenoConn(client), new DenoConn(server));
    } catch {
      // The client has left, nobody listens behind the proxy, or the test is over.
      close(client);
    }
  };
  const accepting = (async () => {
    for await (const client of listener) live.add(handle(client));
  })();
  return {
    host: `127.0.0.1:${listener.addr.port}`,
    requests,
    async [Symbol.asyncDispose]() {
      listener.close();
      await accepting;
      for (const conn of open) close(conn);
      await Promise.all(live);
    },
  };
}

function close(conn: Deno.TcpConn): void {
  try {
    conn.close();
  } catch {
    // closed already
  }
}

const encoder = new TextEncoder();

async function readHead(conn: Deno.TcpConn): Promise<string> {
  let head = "";
  const buffer = new Uint8Array(4096);
  while (!head.includes("\r\n\r\n")) {
    const n = await conn.read(buffer);
    if (n === null) break;
    head += new TextDecoder().decode(buffer.subarray(0, n));
  }
  return head;
}

/** Certificate and key in PEM. */
export interface KeyPair {
  readonly cert: string;
  readonly key: string;
}

/** A private certificate authority and one server certificate from it. */
export interface Authority {
  /** File with the authority's certificate. */
  readonly bundlePath: string;
  readonly server: KeyPair;
}

/**
 * A host that nobody has (RFC 5737): reached only through {@linkcode startProxy}. An address, because
 * Deno asks the resolver for a name even when a proxy will connect to it.
 */
export const FAR_HOST = "192.0.2.10";

/** Makes an authority with openssl, and a certificate for localhost and the given addresses. */
export async function makeAuthority(
  directory: string,
  addresses: readonly string[] = ["127.0.0.1", FAR_HOST],
): Promise<Authority> {
  const path = (file: string) => `${directory}/${file}`;
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"];
  const names = ["DNS:localhost", ...addresses.map((address) => `IP:${address}`)];
  await Deno.writeTextFile(path("ext"), `subjectAltName=${names.join(",")}\n`);
  // deno-fmt-ignore
  await openssl("req", "-x509", ...key, "-subj", "/CN=Test authority",
    "-keyout", path("ca.key"), "-out", path("ca.pem"));
  // deno-fmt-ignore
  await openssl("req", "-new", ...key.slice(0, -2), "-subj", "/CN=Test server",
    "-keyout", path("server.key"), "-out", path("server.csr"));
  // deno-fmt-ignore
  await openssl("x509", "-req", "-days", "2", "-in", path("server.csr"), "-extfile", path("ext"),
    "-CA", path("ca.pem"), "-CAkey", path("ca.key"), "-CAcreateserial", "-out", path("server.pem"));
  return {
    bundlePath: path("ca.pem"),
    server: {
      cert: await Deno.readTextFile(path("server.pem")),
      key: await Deno.readTextFile(path("server.key")),
    },
  };
}

async function openssl(...args: string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command("openssl", { args }).output();
  if (!success) throw new Error(`openssl ${args[0]}: ${new TextDecoder().decode(stderr)}`);
}
