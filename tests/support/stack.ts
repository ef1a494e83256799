/**
 * The whole program in one process: a sandbox as its AWS, and the proxy put together by the very
 * function that `awsocks start` uses, with a home directory of its own and its log in memory.
 *
 * @module
 */

import assert from "node:assert/strict";
import type { Backend } from "../../lib/backend/mod.ts";
import { createApp } from "../../lib/cli/app.ts";
import { parse } from "../../lib/cli/parse.ts";
import { createProxy } from "../../lib/cli/proxy.ts";
import { homeOf, type KeyValues } from "../../lib/cli/settings.ts";
import { resolveSettings } from "../../lib/config/mod.ts";
import {
  type Clock,
  configureLogging,
  type Conn,
  DenoConn,
  type LogLevel,
  systemClock,
  type Target,
} from "../../lib/core/mod.ts";
import { fixedCredentials } from "../../lib/credentials/mod.ts";
import { type Manager, socks5Connect } from "../../lib/proxy/mod.ts";
import { type Sandbox, type SandboxOptions, startSandbox } from "../../lib/sandbox/mod.ts";
import { FakeTerminal } from "./fake_terminal.ts";

/** What {@linkcode startStack} is told. */
export interface StackOptions {
  /** The AWS at its other end. */
  readonly sandbox?: SandboxOptions;
  /** Configuration by key. It goes before what leads to the sandbox; null takes such a value away. */
  readonly settings?: { readonly [K in keyof KeyValues]?: KeyValues[K] | null };
  /**
   * Where credentials come from: `fixed` ones of the sandbox (default), or the AWS `chain` over the
   * environment and the files in the home directory.
   */
  readonly credentials?: "fixed" | "chain";
  /** Added to the environment; null takes a variable away. */
  readonly env?: Readonly<Record<string, string | null>>;
  /** Files to put into the home directory before the start, by path below it. */
  readonly files?: Readonly<Record<string, string>>;
  /** Time of the proxy; the sandbox has the real one. */
  readonly clock?: Clock;
  /** Lowest level that {@linkcode Stack.log} keeps; default `info`. */
  readonly logLevel?: LogLevel;
}

/** A line of the log. */
export interface LogLine {
  readonly level: string;
  readonly room: string;
  readonly message: string;
  readonly [field: string]: unknown;
}

/** A running proxy and its sandbox. */
export interface Stack extends AsyncDisposable {
  /** Where the proxy listens. */
  readonly proxy: Target;
  readonly sandbox: Sandbox;
  readonly backend: Backend;
  readonly manager: Manager;
  readonly home: string;
  /** Everything logged so far, oldest first. */
  readonly log: readonly LogLine[];
  /** The first line, past or to come, whose message matches. @throws Error after ten seconds */
  logged(message: RegExp): Promise<LogLine>;
  /** Stops the proxy as a signal does, the sandbox lives on. Idempotent. */
  stop(): Promise<void>;
  /** Stops everything and removes the home directory. Idempotent. */
  close(): Promise<void>;
}

/** Starts a sandbox and a proxy that uses it. */
export async function startStack(options: StackOptions = {}): Promise<Stack> {
  const log = new LogMemory();
  await configureLogging({
    level: options.logLevel ?? "info",
    format: "json",
    write: (line) => log.add(JSON.parse(line) as LogLine),
  });
  const sandbox = await startSandbox(options.sandbox);
  const home = await Deno.makeTempDir({ prefix: "awsocks-stack-" });
  const closers: (() => unknown)[] = [
    () => configureLogging({ level: "error", write: () => {} }),
    () => Deno.remove(home, { recursive: true }),
    () => sandbox.close(),
  ];
  const closeAll = async () => {
    for (const close of closers.splice(0).toReversed()) await close();
  };
  try {
    await writeFiles(home, options.files ?? {});
    const { manager, backend, stop } = await startProxy(options, sandbox, home);
    closers.push(stop);
    return {
      proxy: manager.address!,
      sandbox,
      backend,
      manager,
      home,
      log: log.lines,
      logged: (message) => log.find(message),
      stop,
      close: closeAll,
      [Symbol.asyncDispose]: closeAll,
    };
  } catch (error) {
    await closeAll();
    throw error;
  }
}

/** Milliseconds to wait for a line of the log. */
const LOG_LIMIT = 10_000;

/** The log of a stack. */
class LogMemory {
  readonly lines: LogLine[] = [];
  readonly #waiting = new Set<(line: LogLine) => void>();

  add(line: LogLine): void {
    this.lines.push(line);
    for (const look of this.#waiting) look(line);
  }

  find(pattern: RegExp): Promise<LogLine> {
    const known = this.lines.find(({ message }) => pattern.test(message));
    if (known) return Promise.resolve(known);
    return new Promise((resolve, reject) => {
      const settle = () => {
        clearTimeout(limit);
        this.#waiting.delete(look);
      };
      const limit = setTimeout(() => {
        settle();
        reject(new Error(`No line of the log matches ${pattern}`));
      }, LOG_LIMIT);
      const look = (line: LogLine) => {
        if (!pattern.test(line.message)) return;
        settle();
        resolve(line);
      };
      this.#waiting.add(look);
    });
  }
}

async function startProxy(options: StackOptions, sandbox: Sandbox, home: string) {
  const env = withoutNulls({
    HOME: home,
    AWS_EC2_METADATA_DISABLED: "true",
    ...sandbox.env,
    ...options.env,
  });
  const parsed = parse(["start"]);
  assert.ok(parsed.ok);
  const app = createApp(parsed.command, {
    terminal: new FakeTerminal({ isTerminal: false, env }),
    clock: options.clock ?? systemClock,
    exit: (code) => assert.fail(`The program wants to exit with ${code}`),
  });
  let stopped: Promise<void> | undefined;
  const stop = () =>
    stopped ??= app.lifetime.close(app.closers.splice(0)).then((inTime) => {
      assert.ok(inTime, "not everything could be closed in time");
    });
  try {
    const { settings } = resolveSettings({
      flags: settingsFor(options, sandbox),
      env,
      file: { path: undefined, defaults: {}, profiles: new Map() },
      home: homeOf(env),
    });
    const proxy = await createProxy(app, {
      settings,
      env,
      ...(options.credentials === "chain"
        ? {}
        : { credentials: fixedCredentials(sandbox.credentials) }),
    });
    await proxy.manager.start();
    return { ...proxy, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

function settingsFor({ settings = {} }: StackOptions, sandbox: Sandbox): KeyValues {
  const named = settings["instance-id"] !== undefined || settings["name"] !== undefined;
  return withoutNulls({
    "listen": "127.0.0.1:0",
    ...(named ? {} : { "instance-id": sandbox.instanceId }),
    "region": sandbox.region,
    "ssh-user": sandbox.sshUser,
    "ssh-key": sandbox.sshKeyPath,
    "lazy-until-ready": "wait",
    // Addresses of the sandbox's network may exist on the machine that runs the test.
    "fallback": false,
    ...settings,
  });
}

function withoutNulls<T>(record: Readonly<Record<string, T | null>>): Record<string, T> {
  const given = Object.entries(record).filter((entry): entry is [string, T] => entry[1] !== null);
  return Object.fromEntries(given);
}

async function writeFiles(home: string, files: Readonly<Record<string, string>>): Promise<void> {
  for (const [path, text] of Object.entries(files)) {
    const full = `${home}/${path}`;
    await Deno.mkdir(full.slice(0, full.lastIndexOf("/")), { recursive: true });
    await Deno.writeTextFile(full, text, { mode: 0o600 });
  }
}

/** Connects to a target through a proxy with SOCKS5. @throws Socks5Refusal */
export async function connectThrough(
  { proxy }: Pick<Stack, "proxy">,
  target: Target,
): Promise<Conn> {
  const tcp = new DenoConn(await Deno.connect({ hostname: proxy.host, port: proxy.port }));
  try {
    return await socks5Connect(tcp, target);
  } catch (error) {
    tcp.close();
    throw error;
  }
}
