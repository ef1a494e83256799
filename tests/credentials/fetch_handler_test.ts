import assert from "node:assert/strict";
import { isAwsocksError, systemClock } from "../../lib/core/mod.ts";
import { FetchHandler, type SdkRequest } from "../../lib/credentials/fetch_handler.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { Peer } from "./support/peers.ts";

const REQUEST: SdkRequest = {
  method: "POST",
  protocol: "https:",
  hostname: "sts.eu-west-1.amazonaws.com",
  path: "/",
  headers: { host: "sts.eu-west-1.amazonaws.com", "content-length": "1", "x-amz-date": "now" },
  body: "Action=X",
};

function to(url: string): SdkRequest {
  const { protocol, hostname, port } = new URL(url);
  return { ...REQUEST, protocol, hostname, port: Number(port) };
}

function handler(fetch: ConstructorParameters<typeof FetchHandler>[0]["fetch"], options = {}) {
  const signal = new AbortController().signal;
  return new FetchHandler({ fetch, clock: systemClock, signal, ...options });
}

Deno.test("FetchHandler sends method, headers, body and query, and gives back the answer", async () => {
  await using peer = new Peer(() =>
    new Response("<x/>", { status: 203, headers: { "x-amzn-requestid": "r" } })
  );
  const sender = handler(fetch);
  const { response } = await sender.handle({
    ...to(peer.url),
    path: "/a%2Fb/",
    query: { one: "1 +&=", many: ["a", "b"], none: null },
  });
  assert.equal(response.statusCode, 203);
  assert.equal(new TextDecoder().decode(response.body), "<x/>");
  assert.equal(response.headers["x-amzn-requestid"], "r");
  const [seen] = peer.seen;
  assert.equal(seen?.method, "POST");
  assert.equal(seen?.path, "/a%2Fb/");
  assert.equal(seen?.body, "Action=X");
  assert.equal(seen?.headers.get("x-amz-date"), "now");
  assert.equal(seen?.headers.get("host"), new URL(peer.url).host);
  assert.deepEqual([...seen?.query ?? []], [
    ["one", "1 +&="],
    ["many", "a"],
    ["many", "b"],
    ["none", ""],
  ]);
  assert.deepEqual(sender.last, { host: new URL(peer.url).host, path: "/a%2Fb/", status: 203 });
});

Deno.test("FetchHandler does not follow redirections with signed requests", async () => {
  await using peer = new Peer(() =>
    new Response(null, { status: 307, headers: { location: "/other" } })
  );
  const { response } = await handler(fetch).handle(to(peer.url));
  assert.equal(response.statusCode, 307);
  assert.equal(peer.seen.length, 1);
});

Deno.test("FetchHandler fails in a way that the SDK repeats when no answer comes", async () => {
  const cause = new TypeError("connection refused");
  const sender = handler(() => Promise.reject(cause));
  await assert.rejects(sender.handle(REQUEST), { code: "ECONNRESET", cause });
  assert.deepEqual(sender.last, { host: REQUEST.hostname, path: "/", error: cause });
});

/** A fetch that waits until its signal fires. */
function hanging(_url: URL, { signal }: RequestInit): Promise<Response> {
  return new Promise((_, reject) =>
    signal?.addEventListener("abort", () => reject(signal.reason), { once: true })
  );
}

Deno.test("FetchHandler gives up a request that takes too long", async () => {
  const clock = new FakeClock();
  const sender = handler(hanging, { clock });
  const failing = assert.rejects(sender.handle(REQUEST), { code: "ECONNRESET" });
  await clock.advance(15_000);
  await failing;
  assert.ok(isAwsocksError(sender.last?.error, "timeout"));
  assert.equal(clock.pending, 0);
});

Deno.test("FetchHandler passes an abort on, and remembers nothing of it", async () => {
  const controller = new AbortController();
  const sender = handler(hanging, { signal: controller.signal });
  const failing = assert.rejects(sender.handle(REQUEST), /enough/);
  controller.abort(new Error("enough"));
  await failing;
  await assert.rejects(sender.handle(REQUEST), /enough/);
  assert.equal(sender.last, undefined);
});
