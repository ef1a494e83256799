/**
 * The stream multiplexer smux, versions 1 and 2, over any `Conn`: version 1 inside port sessions of
 * Session Manager, version 2 between host and guest. Compatible with github.com/xtaci/smux.
 *
 * ```ts ignore
 * import { type Conn, relay } from "../core/mod.ts";
 * import { createSmuxSession } from "./mod.ts";
 *
 * async function serve(conn: Conn, dial: () => Promise<Conn>): Promise<Error | undefined> {
 *   using session = createSmuxSession(conn, { role: "server", version: 2 });
 *   for await (const stream of session.accept()) {
 *     void dial().then((destination) => relay(stream, destination), () => stream.close());
 *   }
 *   return await session.closed;
 * }
 * ```
 *
 * @module
 */

export * from "./frame.ts";
export type { KeepAlive, SmuxOptions } from "./options.ts";
export { createSmuxSession, type SmuxSession } from "./session.ts";
export type { SmuxStream } from "./stream.ts";
