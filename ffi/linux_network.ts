/**
 * Network interfaces and IPv4 routes; netdevice(7).
 *
 * @module
 */

import { attempt, closeFd, cString, files, once, openLibc } from "./libc.ts";

const symbols = once(() =>
  openLibc("Setting up the network", {
    socket: {
      parameters: ["i32", /* domain */ "i32", /* type */ "i32" /* protocol */],
      result: "i32",
    },
  })
);

const AF_INET = 2;
const SOCK_DGRAM_CLOEXEC = 2 | 0o2000000;

// linux/sockios.h
const SIOCADDRT = 0x890bn;
const SIOCDELRT = 0x890cn;
const SIOCGIFFLAGS = 0x8913n;
const SIOCSIFFLAGS = 0x8914n;
const SIOCSIFADDR = 0x8916n;
const SIOCSIFNETMASK = 0x891cn;
const SIOCSIFMTU = 0x8922n;
const SIOCGIFHWADDR = 0x8927n;

const IFF_UP = 1;
const RTF_UP = 1;
const RTF_GATEWAY = 2;

/** Longest name of an interface, without the zero byte. */
const MAX_NAME_BYTES = 15;

/** Where the union of struct ifreq begins, and its whole length. */
const IFREQ = { union: 16, size: 40 } as const;

/** struct sockaddr_in: family, port, address. */
function putAddress(view: DataView, at: number, address: string): void {
  view.setUint16(at, AF_INET, true);
  view.setUint32(at + 4, ipv4(address));
}

/** Reads dotted decimal. */
function ipv4(text: string): number {
  const bytes = /^\d{1,3}(\.\d{1,3}){3}$/.test(text) ? text.split(".").map(Number) : [];
  if (bytes.length === 0 || bytes.some((byte) => byte > 255)) {
    throw new RangeError(`${JSON.stringify(text)} is no IPv4 address`);
  }
  return bytes.reduce((number, byte) => number * 256 + byte, 0);
}

/** The netmask of a prefix, such as `255.255.255.0` of 24. */
function netmask(prefix: number): string {
  if (!Number.isInteger(prefix) || prefix < 0 || prefix > 32) {
    throw new RangeError(`${prefix} is no prefix length of IPv4`);
  }
  const mask = prefix === 0 ? 0 : -1 << (32 - prefix);
  return [24, 16, 8, 0].map((shift) => (mask >>> shift) & 0xff).join(".");
}

/** Sends a request about the network through a socket, which is what such requests go through. */
function request(name: string, address: string, code: bigint, argument: DataView<ArrayBuffer>) {
  const fd = attempt("socket", address, () => symbols().socket(AF_INET, SOCK_DGRAM_CLOEXEC, 0));
  try {
    const bytes = new Uint8Array(argument.buffer);
    attempt(`ioctl ${name}`, address, () => files().ioctl(fd, code, bytes));
  } finally {
    closeFd(fd);
  }
}

/** struct ifreq for an interface. */
function ifreq(device: string): DataView<ArrayBuffer> {
  const name = cString(device);
  if (name.byteLength < 2 || name.byteLength > MAX_NAME_BYTES + 1) {
    throw new RangeError(`${JSON.stringify(device)} is no name of an interface`);
  }
  const bytes = new Uint8Array(IFREQ.size);
  bytes.set(name);
  return new DataView(bytes.buffer);
}

/**
 * Switches an interface on or off.
 * @throws SystemError, `ENODEV` for an interface that is not there
 */
export function setInterfaceUp(device: string, up = true): void {
  const wanted = ifreq(device);
  request("SIOCGIFFLAGS", device, SIOCGIFFLAGS, wanted);
  const flags = wanted.getUint16(IFREQ.union, true);
  wanted.setUint16(IFREQ.union, up ? flags | IFF_UP : flags & ~IFF_UP, true);
  request("SIOCSIFFLAGS", device, SIOCSIFFLAGS, wanted);
}

/**
 * Gives an interface its IPv4 address, in place of the one it has. `0.0.0.0` takes that away.
 * @param prefix length of the network's prefix, such as 24
 * @throws SystemError; RangeError
 */
export function setInterfaceAddress(device: string, address: string, prefix: number): void {
  const mask = netmask(prefix);
  const wanted = ifreq(device);
  putAddress(wanted, IFREQ.union, address);
  request("SIOCSIFADDR", device, SIOCSIFADDR, wanted);
  if (ipv4(address) === 0) return;
  putAddress(wanted, IFREQ.union, mask);
  request("SIOCSIFNETMASK", device, SIOCSIFNETMASK, wanted);
}

/**
 * Sets the largest packet of an interface, in bytes.
 * @throws SystemError
 */
export function setInterfaceMtu(device: string, mtu: number): void {
  const wanted = ifreq(device);
  wanted.setInt32(IFREQ.union, mtu, true);
  request("SIOCSIFMTU", device, SIOCSIFMTU, wanted);
}

/**
 * The hardware address of an interface, six bytes.
 * @throws SystemError
 */
export function interfaceHardwareAddress(device: string): Uint8Array {
  const asked = ifreq(device);
  request("SIOCGIFHWADDR", device, SIOCGIFHWADDR, asked);
  const at = IFREQ.union + 2;
  return new Uint8Array(asked.buffer.slice(at, at + 6));
}

/** A route of IPv4. */
export interface Route {
  /** Network; default every address, with prefix 0. */
  readonly destination?: string;
  readonly prefix?: number;
  /** Next hop; none for a network that the interface is on. */
  readonly gateway?: string;
  /** Interface; default the one that the gateway is on. */
  readonly device?: string;
  /** Of several routes the kernel takes the one with the lowest. */
  readonly metric?: number;
}

/** struct rtentry of the 64-bit ABIs. */
const RTENTRY = {
  size: 120,
  destination: 8,
  gateway: 24,
  netmask: 40,
  flags: 56,
  metric: 80,
  device: 88,
} as const;

function changeRoutes(name: string, code: bigint, wanted: Route): void {
  const { destination = "0.0.0.0", prefix = 0, gateway, device, metric } = wanted;
  // The name that the entry points to stands behind it, in memory that lives as long.
  const deviceName = device === undefined ? undefined : cString(device);
  const entry = new DataView(new ArrayBuffer(RTENTRY.size + (deviceName?.byteLength ?? 0)));
  putAddress(entry, RTENTRY.destination, destination);
  putAddress(entry, RTENTRY.netmask, netmask(prefix));
  let flags = RTF_UP;
  if (gateway !== undefined) {
    putAddress(entry, RTENTRY.gateway, gateway);
    flags |= RTF_GATEWAY;
  }
  entry.setUint16(RTENTRY.flags, flags, true);
  // The kernel takes the metric less one.
  if (metric !== undefined) entry.setInt16(RTENTRY.metric, metric + 1, true);
  if (deviceName) {
    const bytes = new Uint8Array(entry.buffer);
    bytes.set(deviceName, RTENTRY.size);
    const place = Deno.UnsafePointer.value(Deno.UnsafePointer.of(bytes));
    entry.setBigUint64(RTENTRY.device, place + BigInt(RTENTRY.size), true);
  }
  request(name, `${destination}/${prefix}`, code, entry);
}

/**
 * Adds a route.
 * @throws SystemError, `EEXIST` for one that is there; RangeError
 */
export function addRoute(wanted: Route): void {
  changeRoutes("SIOCADDRT", SIOCADDRT, wanted);
}

/**
 * Takes a route away.
 * @throws SystemError, `ESRCH` for one that is not there; RangeError
 */
export function removeRoute(unwanted: Route): void {
  changeRoutes("SIOCDELRT", SIOCDELRT, unwanted);
}
