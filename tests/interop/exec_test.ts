/**
 * The command protocol with peers in another language, written from its description alone.
 *
 * @module
 */

import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { VSOCK_CLIENT_HELP } from "../../lib/cli/vsock_client_help.ts";
import { parseVsockClientArgs } from "../../lib/cli/vsock_client_args.ts";
import { COMPILE_NEED, compiled } from "../support/compiled.ts";
import { interopTest, need, note, run } from "../support/external.ts";

const NEEDS = [need("python3")];

const ROOT = new URL("../../", import.meta.url);
const HOST = new URL("../fixtures/exec_host.py", import.meta.url).pathname;
const GUEST = new URL("../fixtures/exec_guest.py", import.meta.url).pathname;

/** The programs from source, as anybody may start them. */
const AWSOCKS = [Deno.execPath(), "run", "-A", "--no-prompt", new URL("main.ts", ROOT).pathname];
const CLIENT = [
  Deno.execPath(),
  "run",
  "-A",
  "--no-prompt",
  new URL("agent.ts", ROOT).pathname,
  "exec",
];

const ENV = {
  HOME: "/nonexistent",
  LANG: "C.UTF-8",
  DENO_NO_UPDATE_CHECK: "1",
  DENO_DIR: Deno.env.get("DENO_DIR") ??
    `${Deno.env.get("XDG_CACHE_HOME") ?? `${Deno.env.get("HOME")}/.cache`}/deno`,
};

interface Case {
  readonly command: string;
  readonly stdin: string | null;
  readonly half_close?: boolean;
}

interface Outcome {
  readonly stdout: string;
  readonly stderr: string;
  readonly status: number;
}

interface Report {
  readonly cases: readonly {
    readonly through: Outcome;
    readonly here: Outcome;
    readonly longest: number;
    readonly ended?: boolean;
  }[];
  readonly client: {
    readonly exits: readonly number[];
    readonly said: string;
    readonly descriptors?: number;
    readonly descriptors_at_end?: number;
    readonly children_at_end?: readonly string[];
  };
}

function input(text: string | Uint8Array): string {
  return Buffer.from(text).toString("base64");
}

function bytes(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (i * 7 + (i >> 8)) & 0xff);
}

const CASES: readonly Case[] = [
  { command: "echo hello", stdin: null },
  { command: "echo out; echo err >&2; exit 3", stdin: null },
  { command: "", stdin: null },
  { command: "exit 255", stdin: null },
  { command: "cat", stdin: input("from the host\n") },
  { command: "cat", stdin: input("") },
  { command: "cat; echo end", stdin: input(bytes(1_000_000)) },
  { command: "cat >&2", stdin: input(bytes(200_000)) },
  { command: "wc -c; exit 9", stdin: input(bytes(300_000)) },
  { command: "head -c 3", stdin: input(bytes(300_000)) },
  { command: "head -c 500000 /dev/zero; head -c 70000 /dev/zero >&2", stdin: null },
  { command: "printf '\\000\\377\\200binary'", stdin: null },
  { command: "printf 'no line end'", stdin: null },
  { command: "kill -TERM $$", stdin: null },
  { command: "kill -KILL $$", stdin: null },
  { command: "sh -c 'kill -SEGV $$'; echo status $?", stdin: null },
  { command: "no-such-program-anywhere", stdin: null },
  { command: "/etc/passwd", stdin: null },
  { command: "this is ( no shell", stdin: null },
  { command: "yes | head -n 2; echo sigpipe is as it should be", stdin: null },
  { command: "x=1\nif [ $x = 1 ]; then\n  echo several lines\nfi\n", stdin: null },
  { command: "echo with a line end at last\r\n", stdin: null },
  { command: 'echo é 世界; printf \'%s\' "$0" "$#"', stdin: null },
  { command: "sleep 0.2; echo later", stdin: null, half_close: true },
  { command: "(sleep 0.2; echo background) & echo foreground", stdin: null },
  { command: "exec >&- 2>&-; exit 4", stdin: null },
  { command: "trap 'echo trapped; exit 6' TERM; kill -TERM $$", stdin: null },
  { command: 'pwd; umask; echo "$PATH" "$HOME"; ulimit -n', stdin: null },
  { command: `: ${"x".repeat(65_525)}; exit 8`, stdin: null }, // as long as a frame holds
];

async function play(
  transport: "tcp" | "unix",
  cases: readonly Case[],
  client: readonly string[],
): Promise<Report> {
  const file = await Deno.makeTempFile({ suffix: ".json" });
  try {
    await Deno.writeTextFile(file, JSON.stringify(cases));
    const args = [HOST, transport, file, ...client];
    const { code, stdout, stderr } = await run("python3", args, { env: ENV, limit: 180_000 });
    assert.equal(code, 0, stderr);
    return JSON.parse(stdout);
  } finally {
    await Deno.remove(file);
  }
}

function compare(cases: readonly Case[], report: Report): void {
  assert.equal(report.cases.length, cases.length);
  for (const [index, { through, here, longest }] of report.cases.entries()) {
    assert.deepEqual(through, here, cases[index]!.command.slice(0, 100));
    assert.ok(longest <= 65_535);
  }
  assert.equal(report.client.said, "");
}

for (const transport of ["tcp", "unix"] as const) {
  interopTest(
    `vsock-client over ${transport}: single, each command as subprocess runs it`,
    NEEDS,
    async () => {
      const report = await play(transport, CASES, [...CLIENT, "ADDRESS"]);
      compare(CASES, report);
      assert.ok(report.cases.every(({ ended }) => ended));
      assert.deepEqual(report.client.exits, report.cases.map(({ here }) => here.status));
    },
  );

  interopTest(
    `vsock-client over ${transport}: persistent, each command as subprocess runs it`,
    NEEDS,
    async () => {
      // A half-close is the end of a persistent connection too.
      const cases = CASES.filter((each) => !each.half_close);
      const report = await play(transport, cases, [...CLIENT, "ADDRESS", "persistent"]);
      compare(cases, report);
      assert.deepEqual(report.client.exits, [0]);
    },
  );
}

interopTest(
  "compiled: vsock-client, single and persistent, each command as subprocess runs it",
  [...NEEDS, COMPILE_NEED],
  async () => {
    const binary = await compiled("vsock-client");
    const cases = CASES.filter((each) => !each.half_close);
    for (const words of [[], ["persistent"]]) {
      const report = await play("unix", cases, [binary, "ADDRESS", ...words]);
      compare(cases, report);
      const each = report.cases.map(({ here }) => here.status);
      assert.deepEqual(report.client.exits, words.length === 0 ? each : [0]);
    }
    const help = await run(binary, ["--help"], { env: ENV });
    assert.deepEqual(help, { code: 0, stdout: VSOCK_CLIENT_HELP, stderr: "" });
  },
);

interopTest(
  "vsock-client: 1,000 commands in one connection leave no zombie and no descriptor",
  NEEDS,
  async () => {
    const cases = Array.from({ length: 1000 }, (_, i) => ({
      command: `read line; echo "$line" ${i}; echo ${i} >&2; exit ${i % 256}`,
      stdin: i % 2 === 0 ? input(`line ${i}\n`) : input(""),
    }));
    const start = performance.now();
    const report = await play("unix", cases, [...CLIENT, "ADDRESS", "persistent"]);
    compare(cases, report);
    const { exits, descriptors, descriptors_at_end, children_at_end } = report.client;
    assert.deepEqual(exits, [0]);
    assert.deepEqual(children_at_end, []);
    assert.ok(descriptors! > 0);
    assert.ok(descriptors_at_end! <= descriptors!, `${descriptors} → ${descriptors_at_end}`);
    const seconds = ((performance.now() - start) / 1000).toFixed(1);
    await note(`1,000 commands here and there in ${seconds} s, ${descriptors_at_end} descriptors`);
  },
);

interopTest("vsock-client: the examples of its help", NEEDS, async () => {
  const examples = [...VSOCK_CLIENT_HELP.matchAll(/^ {2}vsock-client(( \S+)*) {2,}\S/gm)]
    .map(([, words]) => words!.trim().split(/ +/).filter((word) => word !== ""));
  assert.ok(examples.length >= 5);
  for (const words of examples) {
    assert.equal(parseVsockClientArgs(words).kind, "run", words.join(" "));
    const at = words.findIndex((word) => /^(unix|tcp):/.test(word));
    if (at < 0) continue;
    const transport = words[at]!.startsWith("tcp:") ? "tcp" : "unix";
    const cases = [{ command: "uname -a", stdin: null }];
    const report = await play(transport, cases, [...CLIENT, ...words.with(at, "ADDRESS")]);
    compare(cases, report);
    assert.deepEqual(report.client.exits, [0]);
  }
});

const FORMS = ["u8", "i16", "i32", "i64", "text", "line"];

/** Runs `awsocks exec` that connects to a listening guest of another maker. */
async function withGuest(
  form: string,
  count: number,
  args: readonly string[],
  given: string | undefined,
) {
  const folder = await Deno.makeTempDir();
  const address = `unix:${folder}/guest.sock`;
  try {
    const guest = run("python3", [GUEST, "listen", address, form, String(count)], { env: ENV });
    const [program, ...before] = AWSOCKS;
    const host = await run(
      program!,
      [...before, "exec", "--connect", address, "--wait", "20", ...args],
      {
        env: ENV,
        ...(given === undefined ? {} : { input: [new TextEncoder().encode(given)] }),
      },
    );
    return { host, guest: await guest };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

for (const form of FORMS) {
  interopTest(`awsocks exec: a client that writes the status as ${form}`, NEEDS, async () => {
    for (const status of [0, 3, 130, 255]) {
      const words = ["--", "sh", "-c", 'cat; printf "%s" "$1" >&2; exit "$2"', "-", "a 'b'"];
      const { host, guest } = await withGuest(form, 1, [...words, String(status)], "given");
      assert.deepEqual(host, { code: status, stdout: "given", stderr: "a 'b'" });
      assert.equal(guest.code, 0, guest.stderr);
    }
  });
}

interopTest("awsocks exec --persistent: lines of standard input", NEEDS, async () => {
  const lines = "echo one\n\necho two >&2; exit 2\r\ncat; printf three; exit 7";
  const { host } = await withGuest("i32", 3, ["--persistent"], lines);
  assert.deepEqual(host, { code: 7, stdout: "one\nthree", stderr: "two\n" });
});

interopTest("awsocks exec: a client that leaves is exit code 125", NEEDS, async () => {
  // Its form does not know the status and it dies of that.
  const { host } = await withGuest("nothing", 1, ["--", "echo out"], undefined);
  assert.equal(host.code, 125);
  assert.equal(host.stdout, "out\n");
  assert.match(host.stderr, /^awsocks: No command was run to its end: The client hung up/);
});
