/**
 * The proxy against curl, which speaks every protocol that it listens to.
 */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { DenoConn } from "../../lib/core/mod.ts";
import type { Manager } from "../../lib/proxy/mod.ts";
import { FakeBackend, startProxy } from "../proxy/loopback.ts";

const curlVersion = await (async () => {
  try {
    const { stdout } = await new Deno.Command("curl", { args: ["--version"] }).output();
    return new TextDecoder().decode(stdout);
  } catch {
    return undefined;
  }
})();

/** A test that needs curl. */
function curlTest(name: string, fn: () => Promise<void>): void {
  const ignore = curlVersion === undefined;
  const remedy = ignore ? " (skipped: install curl, for example `apt-get install curl`)" : "";
  Deno.test({ name: `curl: ${name}${remedy}`, ignore, fn });
}

/** Runs curl with no configuration of this machine; gives exit code and output. */
async function curl(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const { code, stdout, stderr } = await new Deno.Command("curl", {
    args: ["-q", "-sS", "--max-time", "20", ...args],
    clearEnv: true,
  }).output();
  const decoder = new TextDecoder();
  return { code, out: decoder.decode(stdout), err: decoder.decode(stderr) };
}

/** A web server on loopback that only the proxy knows by its name. */
class Site implements AsyncDisposable {
  static readonly name = "hello.internal";
  readonly #server: Deno.HttpServer<Deno.NetAddr>;
  readonly uploads: string[] = [];

  constructor(options: { hostname?: string; tls?: { cert: string; key: string } } = {}) {
    const { hostname = "127.0.0.1", tls } = options;
    this.#server = Deno.serve(
      { hostname, port: 0, onListen: () => {}, ...tls },
      (request) => this.#answer(request),
    );
  }

  get port(): number {
    return this.#server.addr.port;
  }

  async #answer(request: Request): Promise<Response> {
    if (request.method === "GET") {
      const { host, pathname } = new URL(request.url);
      return new Response(`${host} ${pathname}\n`);
    }
    const body = await request.bytes();
    this.uploads.push(createHash("sha256").update(body).digest("hex"));
    return new Response(body);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
  }
}

/** A proxy whose backend reaches `site` under any name: names are resolved behind the proxy. */
function proxyTo(site: Site, options: Parameters<typeof startProxy>[0] = {}) {
  const backend = new FakeBackend(async () =>
    new DenoConn(await Deno.connect({ hostname: "127.0.0.1", port: site.port }))
  );
  return startProxy({ backend, rules: { default: "proxy", direct: ["127.0.0.0/8"] }, ...options });
}

const at = ({ address }: Manager) => `${address!.host}:${address!.port}`;

curlTest("--socks5-hostname leaves the name to the proxy", async () => {
  await using site = new Site();
  await using proxy = await proxyTo(site);
  const { out } = await curl("--socks5-hostname", at(proxy), `http://${Site.name}/x`);
  assert.equal(out, "hello.internal /x\n");
});

curlTest("--socks5, --socks4 and --socks4a", async () => {
  await using site = new Site();
  await using proxy = await proxyTo(site);
  const url = `http://127.0.0.1:${site.port}/x`;
  for (const flag of ["--socks5", "--socks4", "--socks4a"]) {
    const { out } = await curl(flag, at(proxy), url);
    assert.equal(out, `127.0.0.1:${site.port} /x\n`, flag);
  }
});

curlTest("IPv6: literal destinations and listening address", async () => {
  await using site = new Site({ hostname: "::1" });
  await using proxy = await startProxy({ listen: "[::1]:0" });
  const listen = `[::1]:${proxy.address.port}`;
  for (const args of [["--socks5-hostname", listen], ["-x", `http://${listen}`]]) {
    const { out } = await curl("-g", ...args, `http://[::1]:${site.port}/six`);
    assert.equal(out, `[::1]:${site.port} /six\n`);
  }
});

curlTest("user and password, right, wrong and missing", async () => {
  await using site = new Site();
  await using proxy = await proxyTo(site, { auth: { user: "ada", password: "p w:d" } });
  const url = `http://${Site.name}/`;
  const socks = ["--socks5-hostname", at(proxy)];
  const http = ["-x", `http://${at(proxy)}`];
  for (const way of [socks, http]) {
    const right = await curl(...way, "--proxy-user", "ada:p w:d", url);
    assert.equal(right.out, "hello.internal /\n");
  }
  for (const user of [["--proxy-user", "ada:wrong"], []]) {
    assert.equal((await curl(...socks, ...user, url)).code, 97);
    const status = await curl(...http, ...user, "-o", "/dev/null", "-w", "%{http_code}", url);
    assert.equal(status.out, "407");
    const tunnel = await curl(...http, ...user, "-p", "-w", "%{http_connect}", url);
    assert.equal(tunnel.out, "407");
  }
});

curlTest("-x http:// forwards plain requests, several in a row", async () => {
  await using site = new Site();
  await using proxy = await proxyTo(site);
  const urls = ["/a", "/b?c", "/d"].map((path) => `http://${Site.name}${path}`);
  const { out } = await curl("-x", `http://${at(proxy)}`, ...urls);
  assert.equal(out, "hello.internal /a\nhello.internal /b\nhello.internal /d\n");
});

curlTest("-x http:// forwards uploads with a length and in chunks", async () => {
  await using site = new Site();
  await using proxy = await proxyTo(site);
  const file = await Deno.makeTempFile();
  try {
    await Deno.writeTextFile(file, "x".repeat(3_000_000));
    for (const framing of [[], ["-H", "Transfer-Encoding: chunked"]]) {
      const { out } = await curl(
        ...["-x", `http://${at(proxy)}`, "--data-binary", `@${file}`, ...framing],
        `http://${Site.name}/`,
      );
      assert.equal(out.length, 3_000_000);
    }
    assert.equal(new Set(site.uploads).size, 1);
  } finally {
    await Deno.remove(file);
  }
});

curlTest("https through CONNECT and through SOCKS5", async () => {
  const tls = await selfSigned();
  await using site = new Site({ tls });
  await using proxy = await proxyTo(site);
  for (const way of [["-x", `http://${at(proxy)}`], ["--socks5-hostname", at(proxy)]]) {
    const { out, err } = await curl("-k", ...way, `https://${Site.name}/safe`);
    assert.equal(out, "hello.internal /safe\n", err);
  }
});

curlTest("what fails is told as the client's protocol can", async () => {
  const unused = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = unused.addr;
  unused.close();
  await using proxy = await startProxy({ rules: { block: ["blocked.example"] } });
  const status = ["-o", "/dev/null", "-w", "%{http_code}"];
  const http = ["-x", `http://${at(proxy)}`, ...status];
  const socks = ["--socks5-hostname", at(proxy)];
  assert.equal((await curl(...http, `http://127.0.0.1:${port}/`)).out, "502");
  assert.equal((await curl(...http, "http://blocked.example/")).out, "403");
  const refused = await curl(...socks, `http://127.0.0.1:${port}/`);
  assert.equal(refused.code, 97);
  assert.match(refused.err, /\(5\)/);
  assert.match((await curl(...socks, "http://blocked.example/")).err, /\(2\)/);
  assert.match((await curl(...socks, "http://no-such-name.invalid/")).err, /\(4\)/);
  const plain = await curl(`http://${at(proxy)}/`);
  assert.match(plain.out, /^This is a proxy, not a web server\nHint: /);
});

curlTest("20 MB up and down arrive whole, over each protocol", async () => {
  await using site = new Site();
  await using proxy = await proxyTo(site);
  const dir = await Deno.makeTempDir();
  try {
    const data = new Uint8Array(20_000_000);
    for (let at = 0; at < data.length; at += 65536) {
      crypto.getRandomValues(data.subarray(at, at + 65536));
    }
    await Deno.writeFile(`${dir}/up`, data);
    const sha256 = createHash("sha256").update(data).digest("hex");
    for (
      const way of [
        ["--socks5-hostname", at(proxy)],
        ["-x", `http://${at(proxy)}`],
        ["-p", "-x", `http://${at(proxy)}`],
      ]
    ) {
      const { code, err } = await curl(
        ...[...way, "-H", "Expect:", "-T", `${dir}/up`, "-o", `${dir}/down`],
        `http://${Site.name}/`,
      );
      assert.equal(code, 0, err);
      const down = await Deno.readFile(`${dir}/down`);
      assert.equal(createHash("sha256").update(down).digest("hex"), sha256, way.join(" "));
      assert.equal(site.uploads.at(-1), sha256);
    }
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

/** A certificate that nobody trusts. */
async function selfSigned(): Promise<{ cert: string; key: string }> {
  const dir = await Deno.makeTempDir();
  try {
    const [key, cert] = [`${dir}/key.pem`, `${dir}/cert.pem`];
    const { success, stderr } = await new Deno.Command("openssl", {
      args: ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"]
        .concat(["-subj", `/CN=${Site.name}`, "-keyout", key, "-out", cert]),
    }).output();
    assert.ok(success, new TextDecoder().decode(stderr));
    return { cert: await Deno.readTextFile(cert), key: await Deno.readTextFile(key) };
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}
