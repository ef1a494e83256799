/**
 * The many faces of "the other end went away", told apart from bugs in one place.
 *
 * @module
 */

/**
 * True for what reading and writing a socket throws when its connection broke or was closed here:
 * anything with the name of an errno (`ECONNRESET`, `EPIPE`, `ETIMEDOUT`, …), or `BadResource`, which
 * Deno throws for a socket that we have closed ourselves.
 */
export function isDisconnect(error: unknown): boolean {
  if (error instanceof Deno.errors.BadResource) return true;
  const code = error instanceof Error ? (error as { code?: unknown }).code : undefined;
  return typeof code === "string" && /^E[A-Z0-9]+$/.test(code);
}
