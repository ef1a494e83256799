/**
 * From tables of calls to functions, and back.
 *
 * @module
 */

import type { Services, Side } from "./calls.ts";
import type { CallOptions, ControlChannel } from "./control.ts";

/** Has the channel answer each call of a side with the service of its name. */
export function serveAll<S extends Side>(
  channel: ControlChannel,
  calls: S,
  services: Services<S>,
): void {
  for (const [name, call] of Object.entries(calls)) {
    // Safe: `Services` pairs each function with the call of the same name, whose decoder checks.
    const service = services[name] as (
      params: unknown,
      options: { signal: AbortSignal },
    ) => Promise<unknown>;
    channel.handle(call, (params, options) => service(params, options));
  }
}

/** Functions that ask the peer at the other end of the channel. */
export function callAll<S extends Side>(channel: ControlChannel, calls: S): Services<S> {
  const functions = Object.entries(calls).map(([name, call]) => [
    name,
    (params: unknown, options?: CallOptions) => channel.call(call, params, options),
  ]);
  // Safe: each function has the name and the types of its call.
  return Object.fromEntries(functions) as Services<S>;
}
