/**
 * Every way in which a request can fail, through the whole stack: one message that says why, the SOCKS
 * reply and the HTTP status for it, in a stated time; and the proxy goes on when the cause is gone.
 */

import assert from "node:assert/strict";
import { DenoConn, readAll, type Target, writeAll } from "../../lib/core/mod.ts";
import { Socks5Refusal } from "../../lib/proxy/mod.ts";
import { SkippingClock } from "../support/skipping_clock.ts";
import { connectThrough, type Stack, startStack } from "../support/stack.ts";
import { getPage, SITE } from "../support/transfers.ts";
import { type Failure, FAILURES } from "./failure_cases.ts";

/** What a client was told. */
interface Answer {
  readonly reply: number;
  readonly status: number;
  /** First line of the HTTP body. */
  readonly message: string;
  readonly hint: string;
  /** Of the SOCKS request, by the proxy's clock. */
  readonly ms: number;
}

const PREFIX = "No way into the private network: ";

async function askSocks(stack: Stack, target: Target): Promise<number> {
  try {
    (await connectThrough(stack, target)).close();
    return 0;
  } catch (error) {
    if (error instanceof Socks5Refusal) return error.reply;
    throw error;
  }
}

async function askHttp({ proxy }: Stack, { host, port }: Target) {
  const tcp = await Deno.connect({ hostname: proxy.host, port: proxy.port });
  const conn = new DenoConn(tcp);
  try {
    const request = `CONNECT ${host}:${port} HTTP/1.1\r\nHost: ${host}:${port}\r\n\r\n`;
    await writeAll(conn, new TextEncoder().encode(request));
    const [head = "", body = ""] = new TextDecoder().decode(await readAll(conn)).split("\r\n\r\n");
    const [line = "", hint = ""] = body.split("\n");
    const message = line.startsWith(PREFIX) ? line.slice(PREFIX.length) : line;
    return { status: Number(head.split(" ")[1]), message, hint: hint.replace(/^Hint: /, "") };
  } finally {
    conn.close();
  }
}

async function ask(stack: Stack, clock: SkippingClock, failure: Failure): Promise<Answer> {
  const { target = SITE, waits = false } = failure;
  const since = clock.monotonic();
  let ms = 0;
  const socks = askSocks(stack, target).finally(() => ms = clock.monotonic() - since);
  // While time runs fast both have to be on their way; else the second meets what the first has met.
  if (!waits) await socks;
  const http = askHttp(stack, target);
  const answers = Promise.all([socks, http]);
  // No more than keep-alives survive.
  const hurry = waits ? setInterval(() => clock.skip(2000), 50) : undefined;
  const [reply, rest] = await answers.finally(() => clearInterval(hurry));
  return { reply, ...rest, ms };
}

/** One line for one cause, as clients have got it, and nothing that must not be told. */
function checkLog({ log, sandbox }: Stack, told: string): void {
  const about = log.filter(({ room, code }) => room === "proxy" && code !== undefined);
  const messages = new Set(about.map(({ cause }) => String(cause).replace(PREFIX, "")));
  // A standing connection that a fault has ended is another matter.
  messages.delete("The SSH server ended the connection");
  assert.equal(messages.size, 1, `one message, not ${[...messages].join(" | ")}`);
  // The log may add the words of a library.
  assert.ok([...messages][0]!.startsWith(told));
  const { secretAccessKey, sessionToken = secretAccessKey } = sandbox.credentials;
  for (const line of log) {
    const text = JSON.stringify(line);
    assert.doesNotMatch(line.message, /\n/);
    assert.notEqual(line.code, "internal", text);
    for (
      const secret of [secretAccessKey, sessionToken, "EXAMPLEKEY", "correct horse", "wrong horse"]
    ) {
      assert.ok(!text.includes(secret), `a secret in ${text}`);
    }
    assert.doesNotMatch(text, /PRIVATE KEY-----/);
  }
}

/** For the table at the end. */
const rows: (readonly [name: string, answer: Answer])[] = [];

/** Milliseconds after a failure in which another request gets the same answer without a new attempt. */
const SPACING = 3000;

for (const failure of FAILURES) {
  Deno.test(`a request fails: ${failure.name}`, async () => {
    const clock = new SkippingClock();
    await using stack = await startStack({ ...failure.options, clock });
    await failure.arrange?.(stack);
    const answer = await ask(stack, clock, failure);
    rows.push([failure.name, answer]);

    assert.match(answer.message, failure.message);
    assert.match(answer.hint, failure.hint ?? /^$/);
    assert.equal(answer.reply, failure.socks, "SOCKS reply");
    assert.equal(answer.status, failure.http, "HTTP status");
    assert.ok(answer.ms <= failure.within, `${answer.ms} ms`);
    checkLog(stack, answer.message);
    if (failure.mend) {
      await failure.mend(stack);
      clock.skip(SPACING);
      await getPage(stack);
    }
    await stack.stop();
    assert.ok(stack.sandbox.sessions().every(({ live }) => !live), "no session is left over");
  });
}

Deno.test("the failures of requests in one table", () => {
  for (const [name, { message, reply, status, ms }] of rows) {
    console.log(
      `${name.padEnd(44)} SOCKS ${reply}  HTTP ${status} ${
        ms.toFixed(0).padStart(6)
      } ms  ${message}`,
    );
  }
});
