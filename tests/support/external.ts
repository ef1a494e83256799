/**
 * Other people's programs: whether they are installed, and running them.
 *
 * @module
 */

/** Name of the file of a program on PATH, if it is there. */
function onPath(program: string): boolean {
  return (Deno.env.get("PATH") ?? "").split(":").some((folder) => {
    try {
      return Deno.statSync(`${folder}/${program}`).isFile;
    } catch {
      return false;
    }
  });
}

/** What to do about a program that is not installed; empty when it is. */
export function need(program: string, debianPackage: string = program): string {
  return onPath(program) ? "" : `needs ${program}: apt-get install ${debianPackage}`;
}

/** A test that is skipped, with the remedy in its name, unless all of `needs` are empty. */
export function interopTest(
  name: string,
  needs: readonly string[],
  work: () => Promise<void>,
): void {
  const missing = needs.filter((each) => each !== "").join("; ");
  const remedy = missing === "" ? "" : ` (skipped: ${missing})`;
  Deno.test({ name: `${name}${remedy}`, ignore: missing !== "", fn: work });
}

/** Prints a figure that a test has measured. */
export async function note(text: string): Promise<void> {
  await Deno.stderr.write(new TextEncoder().encode(`# ${text}\n`));
}

/** Options of {@linkcode run}. */
export interface RunOptions {
  /** Added to PATH; nothing else gets in. */
  readonly env?: Readonly<Record<string, string>>;
  /** Standard input, piece by piece; default none. */
  readonly input?: Iterable<Uint8Array>;
  /** Takes standard output in place of {@linkcode Ran.stdout}. */
  readonly onOutput?: (chunk: Uint8Array) => void;
  /** Ends the program when it has not ended by itself; default 60,000 ms. */
  readonly limit?: number;
}

/** A program's end. */
export interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program to its end. */
export async function run(
  program: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<Ran> {
  const { env, input, limit = 60_000 } = options;
  const child = new Deno.Command(program, {
    args: [...args],
    clearEnv: true,
    env: { PATH: Deno.env.get("PATH") ?? "", ...env },
    stdin: input ? "piped" : "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const timer = setTimeout(() => child.kill("SIGKILL"), limit);
  try {
    let stdout = "";
    const decoder = new TextDecoder();
    const onOutput = options.onOutput ??
      ((chunk) => void (stdout += decoder.decode(chunk, { stream: true })));
    const [{ code }, stderr] = await Promise.all([
      child.status,
      new Response(child.stderr).text(),
      drain(child.stdout, onOutput),
      input ? feed(child.stdin, input) : undefined,
    ]);
    return { code, stdout, stderr };
  } finally {
    clearTimeout(timer);
  }
}

async function drain(
  output: ReadableStream<Uint8Array>,
  take: (chunk: Uint8Array) => void,
): Promise<void> {
  for await (const chunk of output) take(chunk);
}

async function feed(input: WritableStream<Uint8Array>, data: Iterable<Uint8Array>): Promise<void> {
  const writer = input.getWriter();
  try {
    for (const piece of data) await writer.write(piece);
    await writer.close();
  } catch {
    // The program has closed its input; its exit code says why.
  }
}

/** Runs curl without a configuration of this machine. */
export function curl(args: readonly string[], options: RunOptions = {}): Promise<Ran> {
  return run("curl", ["-q", "-sS", "--noproxy", "", "--max-time", "300", ...args], options);
}
