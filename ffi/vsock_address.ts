/**
 * Addresses of AF_VSOCK as the kernel takes them; linux/vm_sockets.h.
 *
 * @module
 */

import type { SocketAddress } from "./sockets.ts";

/** Address family. */
export const AF_VSOCK = 40;

/** Listens on every context id of this machine. */
export const CID_ANY = 0xffff_ffff;
/** The hypervisor; hardly any has services there. */
export const CID_HYPERVISOR = 0;
/** This machine itself. */
export const CID_LOCAL = 1;
/** The host, seen from a guest. */
export const CID_HOST = 2;
/** Listens on any free port. */
export const PORT_ANY = 0xffff_ffff;

/** Length of struct sockaddr_vm. */
const SOCKADDR_BYTES = 16;

/** Where its fields are: family u16, reserved u16, port u32, cid u32, flags u8, zero. */
const AT = { family: 0, port: 4, cid: 8 } as const;

/** A context id and a port, 32 bits each. */
export interface VsockAddress {
  readonly cid: number;
  readonly port: number;
}

/**
 * The `sockaddr` of an address.
 * @throws RangeError for what is no number of 32 bits
 */
export function encodeAddress({ cid, port }: VsockAddress): SocketAddress {
  checkU32("cid", cid);
  checkU32("port", port);
  const bytes = new Uint8Array(SOCKADDR_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint16(AT.family, AF_VSOCK, true);
  view.setUint32(AT.port, port, true);
  view.setUint32(AT.cid, cid, true);
  return { bytes, text: `vsock ${cid === CID_ANY ? "any" : cid}:${port}` };
}

/**
 * The address in a `sockaddr`.
 * @throws RangeError for one of another family, or cut short
 */
export function decodeAddress(bytes: Uint8Array): VsockAddress {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.byteLength < SOCKADDR_BYTES || view.getUint16(AT.family, true) !== AF_VSOCK) {
    throw new RangeError(`${view.byteLength} bytes that are no address of AF_VSOCK`);
  }
  return { cid: view.getUint32(AT.cid, true), port: view.getUint32(AT.port, true) };
}

function checkU32(name: string, value: number): void {
  if (Number.isInteger(value) && value >= 0 && value <= 0xffff_ffff) return;
  throw new RangeError(`${name} must be a whole number from 0 to 4294967295`);
}
