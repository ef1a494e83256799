import assert from "node:assert/strict";
import { PAGE_TEXT } from "../../lib/sandbox/mod.ts";
import { getPage, SITE, startGuestStack } from "./stack.ts";

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

Deno.test("a private page comes through host, tunnel, guest, session and SSH", async () => {
  await using stack = await startGuestStack();
  stack.startAgent();
  assert.equal(stack.backend.state, "idle");
  const conn = await stack.backend.dial(SITE);
  assert.ok(text(await getPage(conn, SITE.host)).includes(PAGE_TEXT));
  assert.equal(stack.backend.state, "active");
});
