import assert from "node:assert/strict";
import { proxyResolver } from "../../lib/aws/proxy_env.ts";
import { isAwsocksError } from "../../lib/core/mod.ts";

const SSM = "https://ssm.eu-west-1.amazonaws.com/";
const CORP = "http://proxy.corp.example:3128/";

Deno.test.each([
  ["nothing set", {}, SSM, undefined],
  ["upper case", { HTTPS_PROXY: CORP }, SSM, CORP],
  ["lower case", { https_proxy: CORP }, SSM, CORP],
  ["lower beats upper", { https_proxy: CORP, HTTPS_PROXY: "http://other:1" }, SSM, CORP],
  ["empty is unset", { https_proxy: "", HTTPS_PROXY: CORP }, SSM, CORP],
  ["the last resort", { ALL_PROXY: CORP }, SSM, CORP],
  ["specific beats all", { ALL_PROXY: "http://other:1", HTTPS_PROXY: CORP }, SSM, CORP],
  ["the other scheme's", { HTTP_PROXY: CORP }, SSM, undefined],
  ["http", { HTTP_PROXY: CORP }, "http://aws.internal/", CORP],
  [
    "http in a CGI program",
    { HTTP_PROXY: CORP, REQUEST_METHOD: "GET" },
    "http://a.test/",
    undefined,
  ],
  ["wss as https", { HTTPS_PROXY: CORP }, "wss://ssmmessages.eu-west-1.amazonaws.com/x?y=+", CORP],
  ["ws as http", { HTTP_PROXY: CORP }, "ws://gateway.internal/", CORP],
  ["no scheme", { HTTPS_PROXY: "proxy.corp.example:3128" }, SSM, CORP],
  [
    "user and password",
    { HTTPS_PROXY: "http://jane:p%40ss@proxy.corp.example:3128" },
    SSM,
    "http://jane:p%40ss@proxy.corp.example:3128/",
  ],
  ["NO_PROXY", { HTTPS_PROXY: CORP, NO_PROXY: "amazonaws.com" }, SSM, undefined],
  ["no_proxy first", { HTTPS_PROXY: CORP, NO_PROXY: "*", no_proxy: "x.test" }, SSM, CORP],
  ["NO_PROXY, implied port", { HTTPS_PROXY: CORP, NO_PROXY: "amazonaws.com:443" }, SSM, undefined],
  ["NO_PROXY, other port", { HTTPS_PROXY: CORP, NO_PROXY: "amazonaws.com:80" }, SSM, CORP],
  ["loopback", { HTTP_PROXY: CORP }, "http://127.0.0.1:4566/", undefined],
  ["loopback by name", { HTTPS_PROXY: CORP }, "https://localhost:4566/", undefined],
  ["loopback in IPv6", { HTTPS_PROXY: CORP }, "https://[::1]:4566/", undefined],
] as [string, Record<string, string>, string, string | undefined][])(
  "proxyResolver() with %s",
  (_name, env, url, expected) => assert.equal(proxyResolver(env)(url), expected),
);

Deno.test("proxyResolver() refuses what is no HTTP proxy, once it is needed", () => {
  for (const value of ["socks5h://127.0.0.1:1080", "ftp://proxy", "http://", "a b"]) {
    const proxyFor = proxyResolver({ HTTPS_PROXY: value });
    assert.equal(proxyFor("https://localhost/"), undefined);
    assert.throws(
      () => proxyFor(SSM),
      (error) => isAwsocksError(error, "config-invalid") && error.message.includes("HTTPS_PROXY"),
      value,
    );
  }
});

Deno.test("proxyResolver() does not show a password that it cannot parse", () => {
  const proxyFor = proxyResolver({ https_proxy: "socks5://jane:hunter2@proxy:1080" });
  assert.throws(() => proxyFor(SSM), (error) => !String(error).includes("hunter2"));
});
