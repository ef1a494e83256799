/**
 * Joins what is written in one go.
 *
 * ssh2 writes a packet and its authentication tag one after the other. Below, each write would become
 * a message of its own in the session (or a segment of its own, which TCP's Nagle algorithm holds back
 * until the first one is acknowledged: 40 ms for every key press).
 *
 * @module
 */

import type { Duplex } from "node:stream";

/** Makes writes of the same turn reach the stream's sink as one. Returns the stream. */
export function coalesceWrites(stream: Duplex): Duplex {
  const write = stream.write;
  let corked = false;
  stream.write = function (this: Duplex, ...args: Parameters<Duplex["write"]>) {
    if (!corked) {
      corked = true;
      stream.cork();
      queueMicrotask(() => {
        corked = false;
        stream.uncork();
      });
    }
    return write.apply(this, args);
  } as Duplex["write"];
  return stream;
}
