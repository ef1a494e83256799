/**
 * A network in memory, for tests of what runs over vsock.
 *
 * @module
 */

import { type Conn, connPair } from "../core/mod.ts";
import { CIDS, formatVsockAddress, type VsockAddress } from "./address.ts";
import { connectError, listenError } from "./failures.ts";
import { SourceListener } from "./listener.ts";
import type { VsockNetwork } from "./network.ts";

/** Connections that may wait to be accepted, per listener. */
const BACKLOG = 128;

/** Connections that have come, and the one `next` that may wait for them. */
class Backlog {
  readonly #conns: Conn[] = [];
  #waiting: PromiseWithResolvers<Conn> | undefined;

  /** @returns false when there is no room */
  push(conn: Conn): boolean {
    if (this.#waiting) {
      this.#waiting.resolve(conn);
      this.#waiting = undefined;
      return true;
    }
    if (this.#conns.length >= BACKLOG) return false;
    this.#conns.push(conn);
    return true;
  }

  next(): Promise<Conn> {
    const conn = this.#conns.shift();
    if (conn) return Promise.resolve(conn);
    this.#waiting = Promise.withResolvers();
    return this.#waiting.promise;
  }

  stop(): void {
    for (const conn of this.#conns.splice(0)) conn.close();
    this.#waiting?.reject(new Deno.errors.BadResource("Stopped"));
  }
}

function refusal(): Error {
  return Object.assign(new Deno.errors.ConnectionRefused("Refused"), { code: "ECONNREFUSED" });
}

/**
 * Makes an empty network. A vsock address reaches the listener on that CID and port or on any CID and
 * that port; other addresses reach the listener on the same address.
 */
export function createMemoryVsock(): VsockNetwork {
  const listening = new Map<string, Backlog>();
  const find = (address: VsockAddress): Backlog | undefined =>
    listening.get(formatVsockAddress(address)) ??
      (address.kind === "vsock"
        ? listening.get(formatVsockAddress({ ...address, cid: CIDS.any! }))
        : undefined);
  return {
    async connectVsock(address, { signal } = {}) {
      await Promise.resolve(); // as a real one, never at once
      signal?.throwIfAborted();
      const [near, far] = connPair();
      if (find(address)?.push(far)) return near;
      throw connectError(address, refusal());
    },
    async listenVsock(address, { signal } = {}) {
      await Promise.resolve();
      signal?.throwIfAborted();
      const key = formatVsockAddress(address);
      if (listening.has(key)) {
        const taken = new Deno.errors.AddrInUse("Taken");
        throw listenError(address, Object.assign(taken, { code: "EADDRINUSE" }));
      }
      const backlog = new Backlog();
      listening.set(key, backlog);
      const stop = () => {
        listening.delete(key);
        backlog.stop();
      };
      return new SourceListener({ address, next: () => backlog.next(), stop }, signal);
    },
  };
}
