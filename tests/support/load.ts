/**
 * Clients that use the proxy for a while and watch how well they are served.
 *
 * @module
 */

import assert from "node:assert/strict";
import { type Conn, readFull, writeAll } from "../../lib/core/mod.ts";
import type { SandboxEvent } from "../../lib/sandbox/mod.ts";
import { connectThrough, type Stack } from "./stack.ts";
import { downloadOver, SITE } from "./transfers.ts";

const ECHO = { ...SITE, port: 7 } as const;
const ECHO_BYTES = 100;
const ECHO_PAUSE_MS = 20;

/** A connection in use. */
export interface Client {
  readonly kind: "echo" | "download";
  /** The instance that it goes through. */
  readonly instanceId: string;
  /** Milliseconds of the longest time without any progress, in which some was due. */
  readonly longestStall: number;
  /** Rounds of the echo; times that some of a download came. */
  readonly progress: number;
  /** Why it was over before its time. */
  readonly failure: unknown;
  /** Resolves when it is over: a download when it is complete, an echo when it was ended. */
  readonly done: Promise<void>;
  /** Forgets the stalls so far. */
  reset(): void;
  /** Ends it. Idempotent. */
  end(): Promise<void>;
}

/** Asks and answers in turn, with a pause between. */
export function startEcho(stack: Stack): Promise<Client> {
  return start(stack, "echo", ECHO, async (conn, moved, due) => {
    const said = new Uint8Array(ECHO_BYTES);
    const heard = new Uint8Array(ECHO_BYTES);
    for (;;) {
      crypto.getRandomValues(said);
      due();
      await writeAll(conn, said);
      assert.ok(await readFull(conn, heard), "the echo has ended");
      assert.deepEqual(heard, said);
      moved();
      await new Promise((resolve) => setTimeout(resolve, ECHO_PAUSE_MS));
    }
  });
}

/** Downloads so many bytes, and checks their digest. */
export function startDownload(stack: Stack, size: number): Promise<Client> {
  return start(stack, "download", SITE, (conn, moved, due) => {
    due();
    return downloadOver(conn, { size, onBytes: moved });
  });
}

type Work = (conn: Conn, moved: () => void, due: () => void) => Promise<void>;

/** One at a time: where a connection goes is known from the order of the events. */
async function start(
  stack: Stack,
  kind: Client["kind"],
  target: { readonly host: string; readonly port: number },
  work: Work,
): Promise<Client> {
  let instanceId = "";
  const listening = stack.sandbox.on((event: SandboxEvent) => {
    if (event.type === "direct-tcpip") instanceId = event.instanceId;
  });
  let conn: Conn;
  try {
    conn = await connectThrough(stack, target);
  } finally {
    listening[Symbol.dispose]();
  }
  let [longest, last, progress, ended] = [0, performance.now(), 0, false];
  let failure: unknown;
  const note = () => {
    const now = performance.now();
    longest = Math.max(longest, now - last);
    last = now;
  };
  const moved = () => {
    note();
    progress++;
  };
  const done = work(conn, moved, () => last = performance.now()).catch((error) => {
    if (!ended) failure = error;
  }).finally(() => conn.close());
  return {
    kind,
    instanceId,
    get longestStall() {
      return longest;
    },
    get progress() {
      return progress;
    },
    get failure() {
      return failure;
    },
    done,
    reset() {
      longest = 0;
      last = performance.now();
    },
    async end() {
      ended = true;
      conn.close();
      await done;
    },
  };
}
