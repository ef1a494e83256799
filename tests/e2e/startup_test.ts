import assert from "node:assert/strict";

/**
 * The promise: `awsocks start --lazy` listens at most 80 ms later than an empty program has ended.
 * Machines differ and are busy, so both are measured in turn, medians are compared, and half as much
 * again is allowed.
 */
const ALLOWANCE_MS = 80;
const NOISE = 1.5;
const ROUNDS = 9;

const MAIN = new URL("../../main.ts", import.meta.url).pathname;
const CONFIG = new URL("../../deno.json", import.meta.url).pathname;

/** Milliseconds from the start of the process to its first output, or to its end without any. */
async function firstSign(args: readonly string[], home: string): Promise<number> {
  const start = performance.now();
  const process = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", ...args],
    env: { HOME: home, XDG_CONFIG_HOME: home, DENO_NO_UPDATE_CHECK: "1", ...cacheOf() },
    stdin: "null",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const reader = process.stdout.getReader();
  const { value, done } = await reader.read();
  const elapsed = performance.now() - start;
  if (!done) {
    assert.match(new TextDecoder().decode(value), /listens on 127\.0\.0\.1:\d+/);
    process.kill("SIGKILL");
  }
  await reader.cancel();
  await process.status;
  return elapsed;
}

/** A home of its own would move Deno's cache. */
function cacheOf(): Record<string, string> {
  const cache = Deno.env.get("DENO_DIR") ?? `${Deno.env.get("HOME")}/.cache/deno`;
  return { DENO_DIR: cache };
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;
}

Deno.test("awsocks start listens within 80 ms over an empty program", async () => {
  const home = await Deno.makeTempDir({ prefix: "awsocks-test-" });
  try {
    const empty = `${home}/empty.ts`;
    await Deno.writeTextFile(empty, "");
    const start = [
      MAIN,
      "start",
      "-i",
      "i-0123456789abcdef0",
      "-r",
      "eu-west-1",
      "-l",
      "127.0.0.1:0",
    ];
    const bare: number[] = [];
    const listening: number[] = [];
    // The first round fills caches.
    for (let round = 0; round <= ROUNDS; round++) {
      const times = [
        await firstSign(["--config", CONFIG, empty], home),
        await firstSign(start, home),
      ] as const;
      if (round === 0) continue;
      bare.push(times[0]);
      listening.push(times[1]);
    }
    const [base, time] = [median(bare), median(listening)];
    const limit = (base + ALLOWANCE_MS) * NOISE;
    const report = `empty program ${base.toFixed(1)} ms, listening after ${time.toFixed(1)} ms, ` +
      `limit ${limit.toFixed(1)} ms (medians of ${ROUNDS})`;
    await Deno.stderr.write(new TextEncoder().encode(`${report}\n`));
    assert.ok(time <= limit, report);
  } finally {
    await Deno.remove(home, { recursive: true });
  }
});
