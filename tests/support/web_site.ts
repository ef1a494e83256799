/**
 * A web site for places that the sandbox's site cannot be in. It has a page with a text of its own, and
 * those paths of the sandbox's site that transfers need. As a program, `web_site.ts TEXT` serves
 * 127.0.0.1:80.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { blocksOf } from "../../lib/sandbox/vpc/bytes.ts";

/** Answers requests. */
export function webSite(text: string): (request: Request) => Promise<Response> {
  return async (request) => {
    const { pathname, hostname, searchParams } = new URL(request.url);
    if (pathname === "/bytes") {
      const blocks = blocksOf(Number(searchParams.get("size")), Number(searchParams.get("seed")));
      return new Response(ReadableStream.from(copies(blocks)));
    }
    if (pathname === "/upload") {
      const hash = createHash("sha256");
      let bytes = 0;
      for await (const chunk of request.body ?? []) {
        hash.update(chunk);
        bytes += chunk.byteLength;
      }
      return Response.json({ bytes, sha256: hash.digest("hex") });
    }
    const page = `<!doctype html><title>${text}</title><h1>${text}</h1><p>${hostname}</p>\n`;
    return new Response(page, { headers: { "content-type": "text/html" } });
  };
}

/** The blocks share one array. */
function* copies(blocks: Iterable<Uint8Array<ArrayBuffer>>) {
  for (const block of blocks) yield block.slice();
}

if (import.meta.main) {
  const ready = () => void Deno.stdout.write(new TextEncoder().encode("ready\n"));
  Deno.serve({ hostname: "127.0.0.1", port: 80, onListen: ready }, webSite(Deno.args[0] ?? ""));
}
