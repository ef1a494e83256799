/**
 * Temporary homes with AWS files in them, and waiting for what happens outside the fake time.
 *
 * @module
 */

import { dirname, join } from "node:path";
import type { Environment } from "../../../lib/credentials/mod.ts";
import { QUIET_MS } from "../../../lib/credentials/watcher.ts";
import type { FakeClock } from "../../support/fake_clock.ts";

/** A home directory of its own, removed when disposed. */
export class TempHome implements AsyncDisposable {
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  /** Makes one, with the given files (paths relative to it) in it. */
  static async create(files: Record<string, string> = {}): Promise<TempHome> {
    const home = new TempHome(await Deno.realPath(await Deno.makeTempDir()));
    for (const [path, text] of Object.entries(files)) await home.write(path, text);
    return home;
  }

  /** Absolute path of something in it. */
  at(...parts: string[]): string {
    return join(this.path, ...parts);
  }

  /** Writes a file in place, with its directories. */
  async write(path: string, text: string): Promise<string> {
    const file = this.at(path);
    await Deno.mkdir(dirname(file), { recursive: true });
    await Deno.writeTextFile(file, text);
    return file;
  }

  /** Replaces a file the way careful programs do: write another, rename it. */
  async replace(path: string, text: string): Promise<void> {
    const next = await this.write(`${path}.next`, text);
    await Deno.rename(next, this.at(path));
  }

  /** Environment in which AWS tools find this home and nothing else. */
  env(more: Environment = {}): Environment {
    return { HOME: this.path, AWS_EC2_METADATA_DISABLED: "true", ...more };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.path, { recursive: true });
  }
}

/** Resolves when `condition` holds; fails after `limit` milliseconds. */
export async function eventually(
  what: string,
  condition: () => boolean,
  limit = 10_000,
): Promise<void> {
  const end = performance.now() + limit;
  while (!condition()) {
    if (performance.now() > end) throw new Error(`Not within ${limit} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/**
 * Resolves when `condition` holds, ending each quiet time that an event of the file system begins.
 * Other timers, such as those of a retry, are left alone.
 */
export async function afterQuiet(
  clock: FakeClock,
  what: string,
  condition: () => boolean,
): Promise<void> {
  let advancing: Promise<void> | undefined;
  await eventually(what, () => {
    const next = clock.nextIn;
    if (next !== undefined && next <= QUIET_MS) {
      advancing ??= clock.advance(next).finally(() => advancing = undefined);
    }
    return condition();
  });
  await advancing;
}

/** A profile with static keys, as text of the credentials file. */
export function keys(profile: string, accessKeyId: string): string {
  return `[${profile}]\naws_access_key_id = ${accessKeyId}\n` +
    `aws_secret_access_key = secret-of-${accessKeyId}\n`;
}
