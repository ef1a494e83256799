/**
 * `awsocks sandbox`.
 *
 * @module
 */

import { ExitCode } from "../../core/errors.ts";
import type { Sandbox } from "../../sandbox/mod.ts";
import { type App, startLogging } from "../app.ts";
import { parseDestination } from "../destination.ts";
import { openSandbox } from "../sandbox.ts";
import { pad, type Style } from "../style.ts";
import { UsageError } from "../usage_error.ts";

/** Runs a sandbox until a signal. */
export async function run(app: App): Promise<number> {
  const { command: { flags }, lifetime, terminal } = app;
  await startLogging(app);
  lifetime.listen();
  const sshd = flags["sshd"] as string | undefined;
  const { sandbox } = await openSandbox(app, {
    switches: (flags["switches"] as readonly string[] | undefined)?.join(","),
    sshd,
    port: portOf(flags["listen"] as string | undefined),
  });
  if (flags["format"] === "json") terminal.stdout.write(`${JSON.stringify(facts(sandbox))}\n`);
  else terminal.stdout.write(text(sandbox, sshd, app.out.style));
  await lifetime.ended();
  return ExitCode.Ok;
}

/** The sandbox gives everybody who reaches it a shell-less way in: it stays on loopback. */
function portOf(listen: string | undefined): number | undefined {
  if (listen === undefined) return undefined;
  if (/^127\.0\.0\.1:0$|^localhost:0$/.test(listen)) return 0;
  const { host, port } = parseDestination(listen, 0);
  if (host !== "127.0.0.1" && host !== "localhost") {
    throw new UsageError(`The sandbox listens on 127.0.0.1 only, not on ${host}`, {
      topic: "sandbox",
    });
  }
  return port;
}

/** Everything that a program needs to use it. */
function facts(sandbox: Sandbox): Record<string, unknown> {
  return {
    event: "listening",
    endpoint: sandbox.endpoint,
    env: sandbox.env,
    instanceId: sandbox.instanceId,
    sshUser: sandbox.sshUser,
    sshKey: sandbox.sshKeyPath,
    hostKey: sandbox.hostKeyFingerprint,
    siteUrl: sandbox.siteUrl,
    start: startLine(sandbox),
    instances: sandbox.instances().map(({ instanceId, name, state, agentOnline }) => ({
      instanceId,
      name,
      state,
      agentOnline,
    })),
  };
}

function startLine(sandbox: Sandbox): string[] {
  return [
    "awsocks",
    "start",
    "-i",
    sandbox.instanceId,
    "-k",
    sandbox.sshKeyPath,
    ...(sandbox.sshUser === "ec2-user" ? [] : ["-u", sandbox.sshUser]),
  ];
}

function text(sandbox: Sandbox, sshd: string | undefined, style: Style): string {
  const rows = sandbox.instances().map(({ instanceId, name, state, agentOnline }) => {
    const detail = agentOnline || state !== "running" ? state : `${state}, agent offline`;
    return `#   ${instanceId}  ${pad(name, 16)}  ${detail}`;
  });
  const note = (line: string) => style.dim(line);
  return `${
    [
      note(`# AWS to try things on, at ${sandbox.endpoint} until Ctrl-C. Its instances:`),
      ...rows.map(note),
      ...(sshd === undefined ? [] : [
        note(`# Port 22 of the instances is ${sshd}, which must let this key in:`),
        note(`#   ${sandbox.sshKeyPath}.pub`),
      ]),
      note("# The environment that leads there:"),
      ...Object.entries(sandbox.env).map(([name, value]) => `export ${name}=${quoted(value)}`),
      note("# Then, in the same shell:"),
      startLine(sandbox).map(quoted).join(" "),
      note("# And, with the proxy it starts:"),
      `curl --socks5-hostname 127.0.0.1:1080 ${sandbox.siteUrl}`,
    ].join("\n")
  }\n`;
}

/** A word for a POSIX shell. */
function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
