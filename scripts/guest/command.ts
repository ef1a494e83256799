/**
 * Running the tools that an image is made with.
 *
 * @module
 */

/** A failure that a person can do something about; its message says what. */
export class BuildError extends Error {
  override readonly name = "BuildError";
}

/** Options of {@linkcode run}. */
export interface RunOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

/** How a tool ended. */
export interface Ran {
  readonly ok: boolean;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * Runs a tool to its end.
 * @throws BuildError when it is not installed
 */
export async function attempt(
  program: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<Ran> {
  try {
    const { success, stdout, stderr } = await new Deno.Command(program, {
      args: [...args],
      env: { NO_COLOR: "1", LC_ALL: "C.UTF-8", ...options.env },
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      stdin: "null",
    }).output();
    const text = new TextDecoder();
    return { ok: success, stdout: text.decode(stdout), stderr: text.decode(stderr).trim() };
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new BuildError(`${program} is not installed; the image is built on Debian`);
  }
}

/**
 * Runs a tool that must succeed.
 * @returns what it wrote to standard output
 * @throws BuildError with its last words
 */
export async function run(
  program: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<string> {
  const { ok, stdout, stderr } = await attempt(program, args, options);
  if (!ok) throw new BuildError(`${program} ${args[0]} failed: ${stderr.split("\n").at(-1)}`);
  return stdout;
}

/** SHA-256 in hexadecimal. */
export async function sha256(data: Uint8Array<ArrayBuffer>): Promise<string> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", data)).toHex();
}
