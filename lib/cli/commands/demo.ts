/**
 * `awsocks demo`: the whole way of a connection, with a sandbox at its other end.
 *
 * @module
 */

import { resolveSettings } from "../../config/mod.ts";
import { withDeadline } from "../../core/clock.ts";
import { type Conn, DenoConn } from "../../core/conn.ts";
import { AwsocksError, ExitCode } from "../../core/errors.ts";
import { formatTarget, type Target } from "../../core/target.ts";
import { socks5Connect } from "../../proxy/mod.ts";
import { type App, startLogging } from "../app.ts";
import { HopList } from "../hops.ts";
import { fetchPage, type Page, pageText } from "../http_page.ts";
import { createProxy } from "../proxy.ts";
import { type OpenSandbox, openSandbox } from "../sandbox.ts";
import { sandboxHop } from "../sandbox_hops.ts";
import { homeOf } from "../settings.ts";
import { plain, wrap } from "../style.ts";

/** Milliseconds that the page may take. */
const PAGE_LIMIT = 60_000;

/** Fetches the private page of a sandbox and shows each hop. */
export async function run(app: App): Promise<number> {
  const { command: { flags }, clock, lifetime, terminal: { stdout } } = app;
  await startLogging(app);
  lifetime.listen();
  const { style } = app.out;
  const hops = new HopList({
    style,
    columns: stdout.isTerminal ? stdout.size().columns : 120,
    origin: clock.monotonic(),
    write: (line) => {
      if (flags["quiet"] !== true) stdout.write(`${line}\n`);
    },
  });

  const switches = (flags["switches"] as readonly string[] | undefined)?.join(",");
  const open = await openSandbox(app, { switches });
  const { sandbox } = open;
  if (flags["quiet"] !== true) stdout.write(picture(app, sandbox.siteUrl));
  hops.add("sandbox", `AWS API at ${sandbox.endpoint}`, clock.monotonic());
  const events = sandbox.on((event) => {
    const hop = sandboxHop(event);
    if (hop) hops.add(hop.name, hop.detail, event.monotonic);
  });
  const proxy = await proxyTo(app, open, (at) => {
    hops.add("credentials", "to sign AWS requests with", at);
  });
  await proxy.manager.start({ signal: lifetime.signal });
  const address = proxy.manager.address!;
  hops.add("proxy listens", formatTarget(address), clock.monotonic());

  const asked = clock.monotonic();
  const page = await withDeadline(
    clock,
    PAGE_LIMIT,
    () => new AwsocksError("timeout", `The page of ${sandbox.siteUrl} took too long`),
    (signal) => fetchThrough(app, address, sandbox.siteUrl, hops, signal),
    lifetime.signal,
  );
  stdout.write(quote(app, page, Math.round(hops.last - asked)));
  events[Symbol.dispose]();
  if (flags["once"] === true) return ExitCode.Ok;
  stdout.write(invitation(app, address, sandbox.siteUrl));
  await lifetime.ended();
  return ExitCode.Ok;
}

/** A lazy proxy as `start` makes it; nothing of the user's configuration has a say. */
async function proxyTo(app: App, open: OpenSandbox, onCredentials: (at: number) => void) {
  const { env, fill, proxy } = open;
  const listen = (app.command.flags["listen"] as string | undefined) ?? "127.0.0.1:0";
  const { settings } = resolveSettings({
    flags: fill({ listen }),
    env: Object.fromEntries(Object.entries(env).filter(([name]) => !name.startsWith("AWSOCKS_"))),
    file: { path: undefined, defaults: {}, profiles: new Map() },
    home: homeOf(env),
  });
  const { credentials } = proxy;
  return await createProxy(app, {
    settings,
    env,
    ...proxy,
    credentials: {
      ...credentials,
      source: async (options) => {
        const found = await credentials.source(options);
        onCredentials(app.clock.monotonic());
        return found;
      },
    },
  });
}

/** The client's part: SOCKS5 and HTTP over a connection to the proxy. */
async function fetchThrough(
  app: App,
  proxy: Target,
  url: string,
  hops: HopList,
  signal: AbortSignal,
): Promise<Page> {
  const { clock } = app;
  const { hostname: host, port, pathname } = new URL(url);
  const target = { host, port: port === "" ? 80 : Number(port) };
  const tcp = new DenoConn(await Deno.connect({ hostname: proxy.host, port: proxy.port, signal }));
  const close = () => tcp.close();
  signal.addEventListener("abort", close, { once: true });
  try {
    const greeted = () =>
      hops.add("SOCKS5 accepted", `client asks for ${formatTarget(target)}`, clock.monotonic());
    const conn = await socks5Connect(onFirstRead(tcp, greeted), target);
    hops.add("SOCKS5 connected", "reply 0", clock.monotonic());
    const page = await fetchPage(conn, host, pathname, () => {
      hops.add("first byte", "of the answer, at the client", clock.monotonic());
    });
    hops.add("page", `${page.status}, ${page.bytes} bytes`, clock.monotonic());
    return page;
  } finally {
    signal.removeEventListener("abort", close);
    close();
  }
}

/** The server's first bytes answer the client's greeting. */
function onFirstRead(conn: Conn, callback: () => void): Conn {
  let first = true;
  return {
    write: (data) => conn.write(data),
    closeWrite: () => conn.closeWrite(),
    close: () => conn.close(),
    read: async (into) => {
      const n = await conn.read(into);
      if (first) callback();
      first = false;
      return n;
    },
  };
}

/** The way of the connection. */
function picture(app: App, url: string): string {
  const { style } = app.out;
  const arrow = (what: string) => style.dim(what === "" ? "→" : `─${what}→`);
  const line = [
    `client ${arrow("SOCKS5")} awsocks`,
    `${arrow("SSH in a WebSocket")} Session Manager ${arrow("")} agent ${arrow("")} sshd`,
    `${arrow("TCP")} ${new URL(url).hostname}`,
  ].join(" ");
  return `${style.bold(`Fetching ${url} out of a private network`)}\n${line}\n\n`;
}

/** The page's text, and how long it took. */
function quote(app: App, page: Page, ms: number): string {
  const { style } = app.out;
  const width = Math.min(app.terminal.stdout.size().columns, 100) - 4;
  const lines = pageText(page.body).flatMap((line) => wrap(plain(line), width));
  const text = lines.map((line) => `  ${style.cyan("│")} ${line}`).join("\n");
  return `\n${text}\n\n${style.bold(`The private page came through in ${ms} ms`)}\n`;
}

function invitation(app: App, address: Target, url: string): string {
  const { style } = app.out;
  const proxy = formatTarget(address);
  return `
${style.bold("Try it yourself")} ${style.dim("(Ctrl-C ends the demo)")}
  curl --socks5-hostname ${proxy} ${url}
  curl --socks5-hostname ${proxy} ${url}headers
  curl --socks5-hostname ${proxy} http://www.example.com/
  chromium --proxy-server=socks5://${proxy} ${url}
`;
}
