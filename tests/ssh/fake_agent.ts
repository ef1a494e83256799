/**
 * An ssh-agent whose answers a test writes.
 *
 * @module
 */

import { readFull, writeAll } from "../../lib/core/mod.ts";
import { AgentMessage } from "../../lib/ssh/agent.ts";
import { concat, string, uint32, WireReader } from "../../lib/ssh/wire.ts";

/** An agent that answers each request with what `answer` makes of it; undefined closes. */
export async function fakeAgent(
  answer: (type: number, body: Uint8Array) => Promise<Uint8Array | undefined> | Uint8Array,
) {
  const dir = await Deno.makeTempDir();
  const path = `${dir}/agent`;
  const listener = Deno.listen({ transport: "unix", path });
  const serving = (async () => {
    for await (const conn of listener) {
      try {
        const head = new Uint8Array(4);
        if (!await readFull(conn, head)) continue;
        const message = new Uint8Array(new WireReader(head).uint32());
        await readFull(conn, message);
        const reply = await answer(message[0]!, message.subarray(1));
        if (reply) await writeAll(conn, reply);
        // Waits for the client to have read it.
        await conn.read(new Uint8Array(1));
      } catch {
        // The client has gone.
      } finally {
        conn.close();
      }
    }
  })();
  return {
    path,
    async [Symbol.asyncDispose]() {
      listener.close();
      await serving;
      await Deno.remove(dir, { recursive: true });
    },
  };
}

/** The message in which an agent lists keys with their comments. */
export function identitiesAnswer(...keys: (readonly [Uint8Array, string])[]): Uint8Array {
  return string(concat(
    [AgentMessage.IdentitiesAnswer],
    uint32(keys.length),
    ...keys.map(([blob, comment]) => concat(string(blob), string(comment))),
  ));
}
