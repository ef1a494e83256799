/**
 * The address on which the proxy listens, and whether it may.
 *
 * @module
 */

import { AwsocksError, formatTarget, type Target } from "../core/mod.ts";
import { parseHost } from "../routing/mod.ts";

/**
 * `HOST:PORT` with brackets around IPv6; an empty host means every address of the machine, port 0 any
 * free port.
 * @throws AwsocksError `usage`
 */
export function parseListenAddress(text: string): Target {
  const [, bracketed, plain = "", digits] = /^(?:\[([^\]]*)\]|([^:[\]]*)):(\d{1,5})$/.exec(text) ??
    [];
  const port = Number(digits);
  const host = bracketed ?? plain;
  const valid = bracketed === undefined
    ? host === "" || parseHost(host)
    : parseHost(host)?.address?.family === 6;
  if (digits === undefined || port > 65535 || !valid) {
    throw new AwsocksError("usage", `Listen address ${JSON.stringify(text)} is not HOST:PORT`, {
      hint: "write for example 127.0.0.1:1080, localhost:1080 or [::1]:1080",
    });
  }
  return { host: host || "0.0.0.0", port };
}

/** True when only programs of this machine can reach the address. Names but `localhost` are not known. */
export function isLoopback(host: string): boolean {
  const parsed = parseHost(host);
  if (!parsed) return false;
  const { text, address } = parsed;
  if (!address) return text === "localhost";
  return address.family === 4 ? address.value >> 24n === 127n : address.value === 1n;
}

/**
 * Refuses to open the VPC to the network: beyond loopback, clients must give user and password, unless
 * that was asked for.
 * @throws AwsocksError `listen-open`
 */
export function checkListenAddress(
  address: Target,
  options: { readonly authenticated: boolean; readonly allowOpen: boolean },
): void {
  if (options.authenticated || options.allowOpen || isLoopback(address.host)) return;
  throw new AwsocksError(
    "listen-open",
    `Listening on ${formatTarget(address)} without user and password would let everybody who ` +
      "reaches this machine into the VPC",
  );
}
