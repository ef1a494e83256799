/**
 * How this machine reaches AWS: the environment's proxy and certificate bundle, applied to `fetch` and
 * offered to the WebSocket code.
 *
 * @module
 */

import { AwsocksError } from "../core/mod.ts";
import type { Environment } from "./environment.ts";
import { PROXY_VARIABLES, proxyResolver } from "./proxy_env.ts";

/** The way out. */
export interface AwsNetwork extends Disposable {
  /**
   * URL of the HTTP proxy for an `http:`, `https:`, `ws:` or `wss:` URL; undefined for none. It may
   * hold a password: never log it.
   * @throws AwsocksError `config-invalid` for a proxy that cannot be used
   */
  readonly proxyFor: (url: string) => string | undefined;
  /** PEM certificates of `AWS_CA_BUNDLE`, one an entry, trusted besides the system's. */
  readonly caCerts: readonly string[];
  /** `fetch` through that proxy and with those certificates. */
  readonly fetch: (url: string, init?: RequestInit) => Promise<Response>;
  /** Drops idle connections; requests after it fail. Idempotent. */
  close(): void;
}

/** Options of {@linkcode createNetwork}. */
export interface NetworkOptions {
  /** Proxy variables (`HTTPS_PROXY`, `NO_PROXY`, …) and `AWS_CA_BUNDLE`. */
  readonly env: Environment;
  /** Milliseconds for which an idle connection is kept; default {@linkcode IDLE_TIMEOUT_MS}. */
  readonly idleTimeout?: number;
}

/**
 * Calls come in bursts, with long pauses between. A connection that is kept for longer may be dead when
 * it is used: after sleep, or with another network, a call over it would wait for its time-out.
 */
export const IDLE_TIMEOUT_MS = 10_000;

/**
 * Reads the environment once.
 * @throws AwsocksError `config-unreadable` or `config-invalid` for a bad `AWS_CA_BUNDLE`
 */
export function createNetwork(options: NetworkOptions): AwsNetwork {
  const { env, idleTimeout = IDLE_TIMEOUT_MS } = options;
  const caCerts = readCaBundle(env.AWS_CA_BUNDLE);
  const proxyFor = proxyResolver(env);
  const clients = new Map<string | undefined, Deno.HttpClient>();
  let closed = false;

  const clientFor = (proxy: string | undefined): Deno.HttpClient => {
    const known = clients.get(proxy);
    if (known) return known;
    const client = createClient({ caCerts: [...caCerts], poolIdleTimeout: idleTimeout }, proxy);
    clients.set(proxy, client);
    return client;
  };
  const close = () => {
    closed = true;
    for (const client of clients.values()) client.close();
    clients.clear();
  };
  return {
    proxyFor,
    caCerts,
    async fetch(url, init = {}) {
      if (closed) throw new AwsocksError("aborted", "The way to AWS is closed");
      return await fetch(url, { ...init, client: clientFor(proxyFor(url)) });
    },
    close,
    [Symbol.dispose]: close,
  };
}

function createClient(
  base: Deno.CreateHttpClientOptions,
  proxy: string | undefined,
): Deno.HttpClient {
  if (proxy === undefined) return withoutProxyVariables(() => Deno.createHttpClient(base));
  const url = new URL(proxy);
  const username = decodeURIComponent(url.username);
  const password = decodeURIComponent(url.password);
  url.username = url.password = "";
  return Deno.createHttpClient({
    ...base,
    proxy: { url: url.href, ...(username && { basicAuth: { username, password } }) },
  });
}

/**
 * Runs `work` while the process has no proxy variables. A new client takes them over by Deno's rules,
 * which proxy loopback and know fewer forms of NO_PROXY, and there is no option against it. Safe
 * because nothing else runs meanwhile.
 */
function withoutProxyVariables<T>(work: () => T): T {
  const saved = PROXY_VARIABLES
    .map((name) => [name, Deno.env.get(name)] as const)
    .filter((entry): entry is [typeof entry[0], string] => entry[1] !== undefined);
  for (const [name] of saved) Deno.env.delete(name);
  try {
    return work();
  } finally {
    for (const [name, value] of saved) Deno.env.set(name, value);
  }
}

const PEM_CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g;

function readCaBundle(path: string | undefined): string[] {
  if (!path) return [];
  let text: string;
  try {
    text = Deno.readTextFileSync(path);
  } catch (cause) {
    throw new AwsocksError("config-unreadable", `Could not read AWS_CA_BUNDLE ${path}`, {
      cause,
      facts: { path },
    });
  }
  const certificates = text.match(PEM_CERTIFICATE);
  if (certificates) return certificates;
  throw new AwsocksError(
    "config-invalid",
    `AWS_CA_BUNDLE ${path} holds no certificate in PEM format`,
    { facts: { path }, hint: "give a file with BEGIN CERTIFICATE blocks" },
  );
}
