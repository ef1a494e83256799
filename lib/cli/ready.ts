/**
 * What `start` says once it listens: where, through what, and how to use it.
 *
 * @module
 */

import type { Style } from "./style.ts";
import { pad } from "./style.ts";

/** Facts of a proxy that listens. */
export interface Ready {
  /** Where it listens, as bound. */
  readonly listen: { readonly host: string; readonly port: number };
  /** True when clients must give user and password. */
  readonly authentication: boolean;
  readonly profile?: string | undefined;
  /** Instance id or Name tag, as given. */
  readonly instance: string;
  readonly region: string;
  readonly mode: "direct" | "vm";
  readonly lazy: boolean;
  /** A page of the sandbox's private network; absent without a sandbox. */
  readonly sandboxPage?: string | undefined;
}

/** An address to connect to: a wildcard address is reached on loopback. */
function reachable(host: string): string {
  if (host === "0.0.0.0") return "127.0.0.1";
  if (host === "::") return "[::1]";
  return host.includes(":") ? `[${host}]` : host;
}

/** The ready message for people; ends with a line break. */
export function readyText(ready: Ready, style: Style): string {
  const address = `${reachable(ready.listen.host)}:${ready.listen.port}`;
  const bound = ready.listen.host.includes(":")
    ? `[${ready.listen.host}]:${ready.listen.port}`
    : `${ready.listen.host}:${ready.listen.port}`;
  const user = ready.authentication ? "--proxy-user USER:PASSWORD " : "";
  const site = ready.sandboxPage ?? "http://private.example/";
  const facts: [string, string][] = [
    ...(ready.profile === undefined ? [] : [["profile", ready.profile] as [string, string]]),
    [
      "instance",
      `${ready.instance} in ${ready.region}${ready.sandboxPage === undefined ? "" : " (sandbox)"}`,
    ],
    ["mode", ready.mode === "vm" ? "virtual machine" : "direct"],
    ["session", ready.lazy ? "opens with the first request (lazy)" : "open"],
    ["curl", `curl ${user}--socks5-hostname ${address} ${site}`],
    [
      "browser",
      ready.authentication
        // Chromium and Firefox do not log in to SOCKS proxies, but do to HTTP proxies.
        ? `chromium --proxy-server=http://${address}`
        : `chromium --proxy-server=socks5://${address}`,
    ],
  ];
  const lines = facts.map(([name, text]) => `  ${style.dim(pad(name, 8))}  ${text}`);
  const head = `${style.green("✓")} ${style.bold(`awsocks listens on ${bound}`)} (SOCKS5 and HTTP)`;
  return `${[head, ...lines].join("\n")}\n`;
}

/** The ready message for programs: one JSON object and a line break. */
export function readyJson(ready: Ready): string {
  const { listen, ...rest } = ready;
  return `${
    JSON.stringify({ event: "listening", host: listen.host, port: listen.port, ...rest })
  }\n`;
}
