/**
 * What process 1 asks of Linux, as a value, so that tests can stand in for it.
 *
 * @module
 */

type Linux = typeof import("../../ffi/linux.ts");

/** The calls that the guest's start-up uses; `ffi/linux.ts` says what each does. */
export type Kernel = Pick<
  Linux,
  | "mount"
  | "loadModule"
  | "setInterfaceUp"
  | "setInterfaceAddress"
  | "setInterfaceMtu"
  | "addRoute"
  | "removeRoute"
  | "setHostName"
  | "setTime"
  | "reapOrphans"
  | "powerOff"
>;

/** The real one; the C library is opened with the first call. */
export async function openKernel(): Promise<Kernel> {
  return await import("../../ffi/linux.ts");
}

/** Name of the error number of a failed system call, such as `EBUSY`. */
export function errnoOf(error: unknown): string | undefined {
  const { code } = (error ?? {}) as { code?: unknown };
  return typeof code === "string" ? code : undefined;
}
