import assert from "node:assert/strict";
import { type Ready, readyJson, readyText } from "../../lib/cli/ready.ts";
import { createStyle } from "../../lib/cli/style.ts";

const READY: Ready = {
  listen: { host: "127.0.0.1", port: 1080 },
  authentication: false,
  profile: "staging",
  instance: "i-0123456789abcdef0",
  region: "eu-west-1",
  mode: "direct",
  lazy: true,
};

Deno.test("readyText() says where it listens, through what, and how to use it", () => {
  assert.equal(
    readyText(READY, createStyle(false)),
    `✓ awsocks listens on 127.0.0.1:1080 (SOCKS5 and HTTP)
  profile   staging
  instance  i-0123456789abcdef0 in eu-west-1
  mode      direct
  session   opens with the first request (lazy)
  curl      curl --socks5-hostname 127.0.0.1:1080 http://private.example/
  browser   chromium --proxy-server=socks5://127.0.0.1:1080
`,
  );
});

Deno.test("readyText() gives commands that work with a wildcard address and a password", () => {
  const ready = { ...READY, listen: { host: "::", port: 9 }, authentication: true, lazy: false };
  const text = readyText(ready, createStyle(false));
  assert.match(text, /listens on \[::\]:9 /);
  assert.match(text, /curl --proxy-user USER:PASSWORD --socks5-hostname \[::1\]:9 /);
  assert.match(text, /--proxy-server=http:\/\/\[::1\]:9\n/);
});

Deno.test("readyJson() is one line with the same facts", () => {
  const text = readyJson(READY);
  assert.equal(text.indexOf("\n"), text.length - 1);
  const { listen, ...rest } = READY;
  assert.deepEqual(JSON.parse(text), { event: "listening", ...listen, ...rest });
});
