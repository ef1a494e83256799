/**
 * The stream multiplexer smux, versions 1 and 2, over any {@linkcode Conn}: version 1 inside port
 * sessions of Session Manager, version 2 between host and guest. Compatible with
 * github.com/xtaci/smux.
 *
 * @module
 */

export * from "./frame.ts";
export type { KeepAlive, SmuxOptions } from "./options.ts";
export { createSmuxSession, type SmuxSession } from "./session.ts";
export type { SmuxStream } from "./stream.ts";
