/**
 * Addresses of the far side, in the spelling that users write:
 *
 * | text             | means                                                                     |
 * | ---------------- | ------------------------------------------------------------------------- |
 * | `2`, `host:1024` | an AF_VSOCK context id (number or name) and port                          |
 * | `unix:/run/x`    | a Unix domain socket                                                      |
 * | `unix:/run/x:52` | port 52 of the guest whose vsock device keeps its socket at that path     |
 * | `tcp:[::1]:1024` | a TCP socket                                                              |
 *
 * Pure functions: nothing is opened or looked up.
 *
 * @module
 */

import { AwsocksError, formatTarget } from "../core/mod.ts";
import { parseHost } from "../routing/mod.ts";

/** Where the far side of a host ↔ guest connection is. */
export type VsockAddress =
  /** A context id and a port of AF_VSOCK, each up to 2³² − 1; see vsock(7). */
  | { readonly kind: "vsock"; readonly cid: number; readonly port: number }
  /**
   * A Unix domain socket. With a port, that of a user-space vsock device (Firecracker, Cloud
   * Hypervisor, vhost-device-vsock): connecting asks for the guest's port with `CONNECT port`;
   * listening takes the guest's connections to that port of CID 2, which the device brings to the
   * socket `PATH_PORT`.
   */
  | { readonly kind: "unix"; readonly path: string; readonly port?: number }
  /** A TCP socket; port 0 listens on any free one. */
  | { readonly kind: "tcp"; readonly host: string; readonly port: number };

/** Context ids that have a name; `VMADDR_CID_…` in linux/vm_sockets.h. */
export const CIDS: Readonly<Record<string, number>> = {
  hypervisor: 0,
  local: 1,
  host: 2,
  any: 0xffff_ffff,
};

/** Port of an address without one. */
export const DEFAULT_VSOCK_PORT = 1024;

/** Where a guest looks for its host: context id 2, port 1024. */
export const DEFAULT_VSOCK_ADDRESS: VsockAddress = {
  kind: "vsock",
  cid: 2,
  port: DEFAULT_VSOCK_PORT,
};

/** Largest context id and vsock port. */
const MAX_U32 = 0xffff_ffff;

/** Options of {@linkcode parseVsockAddress}. */
export interface ParseVsockAddressOptions {
  /** Port of `CID` without one; default {@linkcode DEFAULT_VSOCK_PORT}. */
  readonly defaultPort?: number;
}

/**
 * Reads `CID[:PORT]`, `unix:PATH[:PORT]` or `tcp:HOST:PORT`.
 *
 * A path that itself ends in a colon and digits is written with one more colon: `unix:/run/x:52:`.
 *
 * @throws AwsocksError `usage`
 */
export function parseVsockAddress(
  text: string,
  options: ParseVsockAddressOptions = {},
): VsockAddress {
  const [, scheme, rest = text] = /^(unix|tcp):(.*)$/s.exec(text) ?? [];
  const address = scheme === "unix"
    ? parseUnix(rest)
    : scheme === "tcp"
    ? parseTcp(rest)
    : parseVsock(rest, options.defaultPort ?? DEFAULT_VSOCK_PORT);
  if (address) return address;
  throw new AwsocksError("usage", `${JSON.stringify(text)} is not an address of the far side`, {
    hint: "write CID[:PORT] as in 2:1024 or host, unix:PATH[:PORT], or tcp:HOST:PORT",
  });
}

/** The address as text that {@linkcode parseVsockAddress} reads back. */
export function formatVsockAddress(address: VsockAddress): string {
  switch (address.kind) {
    case "vsock":
      return `${address.cid === CIDS.any ? "any" : address.cid}:${address.port}`;
    case "unix": {
      const { path, port } = address;
      return `unix:${path}${port !== undefined ? `:${port}` : /:\d*$/.test(path) ? ":" : ""}`;
    }
    case "tcp":
      return `tcp:${formatTarget(address)}`;
  }
}

function parseVsock(text: string, defaultPort: number): VsockAddress | undefined {
  const [, name, digits] = /^([a-z]+|\d{1,10})(?::(\d{1,10}))?$/.exec(text) ?? [];
  if (name === undefined) return undefined;
  const cid = Object.hasOwn(CIDS, name) ? CIDS[name]! : Number(name);
  const port = digits === undefined ? defaultPort : Number(digits);
  return cid <= MAX_U32 && port <= MAX_U32 ? { kind: "vsock", cid, port } : undefined;
}

function parseUnix(text: string): VsockAddress | undefined {
  const [, path = "", digits = ""] = /^(.*?)(?::(\d*))?$/s.exec(text) ?? [];
  if (path === "" || path.includes("\0")) return undefined;
  if (digits === "") return { kind: "unix", path };
  const port = Number(digits);
  return port <= MAX_U32 ? { kind: "unix", path, port } : undefined;
}

function parseTcp(text: string): VsockAddress | undefined {
  const [, bracketed, plain, digits] = /^(?:\[([^\]]*)\]|([^:[\]]+)):(\d{1,5})$/.exec(text) ?? [];
  const host = parseHost(bracketed ?? plain ?? "");
  const port = Number(digits);
  if (!host || !(port <= 65_535)) return undefined;
  if (bracketed !== undefined && host.address?.family !== 6) return undefined;
  return { kind: "tcp", host: host.dial, port };
}
