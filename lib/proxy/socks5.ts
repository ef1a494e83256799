/**
 * SOCKS5 messages of both sides as pure functions: RFC 1928, and RFC 1929 for user and password.
 *
 * Parsers take whatever has arrived (see {@linkcode Parser}); every length on the wire is one byte, so
 * no message is longer than 513 bytes. `socks_server.ts` and `socks5_client.ts` put them in order.
 *
 * @module
 */

import { AwsocksError, type SocksReply, type Target } from "../core/mod.ts";
import { type Host, parseHost } from "../routing/mod.ts";
import type { Parsed } from "./buffered_conn.ts";

/** Version byte of SOCKS5. */
export const SOCKS5_VERSION = 5;

/** Version byte of the user/password negotiation, RFC 1929 section 2. */
const AUTH_VERSION = 1;

/** Authentication methods, RFC 1928 section 3. */
export const SocksMethod = {
  None: 0x00,
  UserPassword: 0x02,
  /** The server's answer when it takes none of those offered. */
  NoAcceptable: 0xff,
} as const;

/** Commands, RFC 1928 section 4. */
export const SocksCommand = { Connect: 1, Bind: 2, UdpAssociate: 3 } as const;

/** Address types, RFC 1928 section 5. */
const AddressType = { Ipv4: 1, Domain: 3, Ipv6: 4 } as const;

/** A client's request, before anybody has looked at its sense. */
export interface SocksRequest {
  /** One of {@linkcode SocksCommand}, or anything else. */
  readonly command: number;
  readonly host: string;
  readonly port: number;
}

/** User and password as they stand on the wire. */
export interface RawCredentials {
  readonly user: Uint8Array;
  readonly password: Uint8Array;
}

function malformed(what: string): AwsocksError {
  return new AwsocksError("proxy-protocol-error", `Malformed SOCKS5 ${what}`);
}

function expectVersion(bytes: Uint8Array, version: number, message: string): void {
  if (bytes.length > 0 && bytes[0] !== version) {
    throw malformed(`${message}: version ${bytes[0]} instead of ${version}`);
  }
}

/** Methods that a client offers: `VER NMETHODS METHODS`. */
export function parseGreeting(bytes: Uint8Array): Parsed<readonly number[]> | undefined {
  expectVersion(bytes, SOCKS5_VERSION, "greeting");
  const length = 2 + (bytes[1] ?? Infinity);
  return bytes.length < length ? undefined : { value: [...bytes.subarray(2, length)], length };
}

/** User and password: `VER ULEN UNAME PLEN PASSWD`. */
export function parseCredentials(bytes: Uint8Array): Parsed<RawCredentials> | undefined {
  expectVersion(bytes, AUTH_VERSION, "authentication");
  const userEnd = 2 + (bytes[1] ?? Infinity);
  const length = userEnd + 1 + (bytes[userEnd] ?? Infinity);
  if (bytes.length < length) return undefined;
  return {
    value: { user: bytes.slice(2, userEnd), password: bytes.slice(userEnd + 1, length) },
    length,
  };
}

/**
 * A request: `VER CMD RSV ATYP DST.ADDR DST.PORT`.
 * @throws AwsocksError `proxy-address-unsupported`, `proxy-protocol-error`
 */
export function parseRequest(bytes: Uint8Array): Parsed<SocksRequest> | undefined {
  expectVersion(bytes, SOCKS5_VERSION, "request");
  const address = parseAddress(bytes);
  return address && { ...address, value: { command: bytes[1]!, ...address.value } };
}

/** The second half of requests and replies, which are alike from their fourth byte on. */
function parseAddress(bytes: Uint8Array): Parsed<{ host: string; port: number }> | undefined {
  const type = bytes[3];
  if (type === undefined) return undefined;
  const start = type === AddressType.Domain ? 5 : 4;
  const end = start + addressLength(type, bytes[4]);
  if (bytes.length < end + 2) return undefined;
  const host = decodeHost(type, bytes.subarray(start, end));
  return { value: { host, port: bytes[end]! << 8 | bytes[end + 1]! }, length: end + 2 };
}

function addressLength(type: number, first: number | undefined): number {
  switch (type) {
    case AddressType.Ipv4:
      return 4;
    case AddressType.Ipv6:
      return 16;
    case AddressType.Domain:
      if (first === 0) throw malformed("request: empty host name");
      return first ?? Infinity;
    default:
      throw new AwsocksError(
        "proxy-address-unsupported",
        `SOCKS5 address type ${type} is none of IPv4, IPv6 and name`,
      );
  }
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function decodeHost(type: number, address: Uint8Array): string {
  if (type === AddressType.Ipv4) return address.join(".");
  if (type === AddressType.Ipv6) {
    const view = new DataView(address.buffer, address.byteOffset, 16);
    return Array.from({ length: 8 }, (_, i) => view.getUint16(2 * i).toString(16)).join(":");
  }
  return decodeName(address);
}

/**
 * A host name as bytes. No RFC says how names beyond ASCII are sent; clients send UTF-8.
 * @throws AwsocksError `proxy-protocol-error`
 */
export function decodeName(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes);
  } catch (cause) {
    throw new AwsocksError("proxy-protocol-error", "SOCKS host name is not UTF-8", { cause });
  }
}

/** The server's choice of method. */
export function encodeMethod(method: number): Uint8Array {
  return Uint8Array.of(SOCKS5_VERSION, method);
}

/** The server's verdict on user and password. */
export function encodeAuthStatus(accepted: boolean): Uint8Array {
  return Uint8Array.of(AUTH_VERSION, accepted ? 0 : 1);
}

/** The address of a reply when there is none to tell. */
const NO_ADDRESS = Uint8Array.of(AddressType.Ipv4, 0, 0, 0, 0, 0, 0);

/**
 * A server's reply.
 * @param bound local end of the connection to the destination, an IP address; 0.0.0.0:0 when unknown
 */
export function encodeReply(reply: SocksReply, bound?: Target): Uint8Array {
  return message(reply, bound ? encodeAddress(bound) : NO_ADDRESS);
}

function message(code: number, address: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(3 + address.length);
  bytes[0] = SOCKS5_VERSION;
  bytes[1] = code;
  bytes.set(address, 3);
  return bytes;
}

/** `ATYP ADDR PORT`; a link-local address with a zone is sent as a name, which keeps the zone. */
function encodeAddress({ host, port }: Target): Uint8Array {
  const parsed = parseHost(host);
  const address = parsed?.address && parsed.dial === parsed.text
    ? encodeIp(parsed.address)
    : encodeName(host);
  return new Uint8Array([...address, port >> 8, port & 0xff]);
}

function encodeIp({ family, value, text }: NonNullable<Host["address"]>): number[] {
  if (family === 4) return [AddressType.Ipv4, ...text.split(".").map(Number)];
  const bytes: number[] = [AddressType.Ipv6];
  for (let shift = 120n; shift >= 0n; shift -= 8n) bytes.push(Number(value >> shift & 0xffn));
  return bytes;
}

function encodeName(host: string): number[] {
  return [AddressType.Domain, ...lengthPrefixed(host, "host name")];
}

function lengthPrefixed(text: string, what: string): number[] {
  const bytes = new TextEncoder().encode(text);
  if (bytes.length < 1 || bytes.length > 255) {
    throw new RangeError(`A SOCKS5 ${what} has 1 to 255 bytes, not ${bytes.length}`);
  }
  return [bytes.length, ...bytes];
}

/** A client's greeting. */
export function encodeGreeting(methods: readonly number[]): Uint8Array {
  return Uint8Array.of(SOCKS5_VERSION, methods.length, ...methods);
}

/** A client's user and password, each of 1 to 255 bytes. */
export function encodeCredentials(user: string, password: string): Uint8Array {
  return Uint8Array.of(
    AUTH_VERSION,
    ...lengthPrefixed(user, "user name"),
    ...lengthPrefixed(password, "password"),
  );
}

/** A client's request. */
export function encodeRequest(
  target: Target,
  command: number = SocksCommand.Connect,
): Uint8Array {
  return message(command, encodeAddress(target));
}

/** The server's choice of method, as its client reads it. */
export function parseMethod(bytes: Uint8Array): Parsed<number> | undefined {
  expectVersion(bytes, SOCKS5_VERSION, "method selection");
  return bytes.length < 2 ? undefined : { value: bytes[1]!, length: 2 };
}

/** The server's verdict on user and password: true when accepted. */
export function parseAuthStatus(bytes: Uint8Array): Parsed<boolean> | undefined {
  expectVersion(bytes, AUTH_VERSION, "authentication status");
  return bytes.length < 2 ? undefined : { value: bytes[1] === 0, length: 2 };
}

/** A server's reply, as its client reads it: `reply` is a {@linkcode SocksReply} or unassigned. */
export function parseReply(
  bytes: Uint8Array,
): Parsed<{ reply: number; host: string; port: number }> | undefined {
  expectVersion(bytes, SOCKS5_VERSION, "reply");
  const address = parseAddress(bytes);
  return address && { ...address, value: { reply: bytes[1]!, ...address.value } };
}
