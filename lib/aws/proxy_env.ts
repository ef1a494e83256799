/**
 * The proxy variables of the environment.
 *
 * Names follow curl: the lower-case variable beats the upper-case one, `all_proxy` is the last resort,
 * a value without a scheme is an HTTP proxy, an empty value counts as unset. Like Go and unlike curl,
 * the upper-case `HTTP_PROXY` is read too, except in a CGI program (`REQUEST_METHOD` set), where the
 * web client could set it. `ws:` counts as `http:`, `wss:` as `https:`.
 *
 * @module
 */

import { AwsocksError } from "../core/mod.ts";
import { type Environment, firstSet } from "./environment.ts";
import { parseNoProxy } from "./no_proxy.ts";

/** Every variable that names a proxy. */
export const PROXY_VARIABLES = [
  "https_proxy",
  "HTTPS_PROXY",
  "http_proxy",
  "HTTP_PROXY",
  "all_proxy",
  "ALL_PROXY",
] as const;

/** A function from URL to the proxy's URL, or undefined for a direct connection. */
export type ProxyResolver = (url: string) => string | undefined;

/**
 * Compiles the proxy variables.
 *
 * The resolver throws AwsocksError `config-invalid` when the variable that applies does not name an
 * `http:` or `https:` proxy. A proxy's URL may hold a password: never log it.
 */
export function proxyResolver(env: Environment): ProxyResolver {
  const bypass = parseNoProxy(firstSet(env, ["no_proxy", "NO_PROXY"])?.value ?? "");
  const all = ["all_proxy", "ALL_PROXY"];
  const cgi = Boolean(env.REQUEST_METHOD);
  const secure = firstSet(env, ["https_proxy", "HTTPS_PROXY", ...all]);
  const plain = firstSet(env, ["http_proxy", ...(cgi ? [] : ["HTTP_PROXY"]), ...all]);
  return (url) => {
    const { protocol, hostname, port } = new URL(url);
    const isSecure = protocol === "https:" || protocol === "wss:";
    const variable = isSecure ? secure : plain;
    if (!variable || bypass(hostname, Number(port) || (isSecure ? 443 : 80))) return undefined;
    return parseProxy(variable.name, variable.value);
  };
}

function parseProxy(name: string, value: string): string {
  const text = /^[a-z][a-z0-9+.-]*:\/\//i.test(value) ? value : `http://${value}`;
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url && url.hostname && (url.protocol === "http:" || url.protocol === "https:")) {
    return url.href;
  }
  const why = url && /^socks/.test(url.protocol)
    ? "AWS is reached through HTTP proxies only"
    : "it is not an http: or https: URL";
  throw new AwsocksError("config-invalid", `${name} cannot be used as a proxy: ${why}`, {
    hint: "give an HTTP proxy, or list amazonaws.com in NO_PROXY to go without one",
  });
}
