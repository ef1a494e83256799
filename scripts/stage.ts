/**
 * A copy of the sources, as programs are made of them: without tests and docs, with the commit written
 * into it.
 *
 * @module
 */

/** What a program is made of. */
const SOURCES = ["main.ts", "agent.ts", "deno.json", "deno.lock", "lib", "ffi"];

const root = new URL("../", import.meta.url);

async function copyTree(from: URL, to: URL): Promise<void> {
  const info = await Deno.stat(from);
  if (info.isFile) return await Deno.copyFile(from, to);
  await Deno.mkdir(to, { recursive: true });
  for await (const { name } of Deno.readDir(from)) {
    await copyTree(new URL(name, `${from.href}/`), new URL(name, `${to.href}/`));
  }
}

/** The commit to write into programs: AWSOCKS_COMMIT, git's, or `dev`. */
export async function commitOf(): Promise<string> {
  const given = Deno.env.get("AWSOCKS_COMMIT");
  if (given) return given;
  try {
    const git = new Deno.Command("git", {
      args: ["rev-parse", "--short=7", "HEAD"],
      cwd: root,
      stderr: "null",
    });
    const { success, stdout } = await git.output();
    return success ? new TextDecoder().decode(stdout).trim() : "dev";
  } catch {
    return "dev"; // built from an archive, without git
  }
}

/**
 * Copies the sources to a folder of their own and writes the commit into the copy.
 * @returns the folder, for the caller to remove
 */
export async function stage(): Promise<URL> {
  const folder = new URL(`file://${await Deno.makeTempDir({ prefix: "awsocks-build-" })}/`);
  for (const source of SOURCES) {
    try {
      await copyTree(new URL(source, root), new URL(source, folder));
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  const info = new URL("lib/core/build_info.ts", folder);
  const source = await Deno.readTextFile(info);
  const stamped = source.replace(/(COMMIT: string = )"[^"]*"/, `$1"${await commitOf()}"`);
  await Deno.writeTextFile(info, stamped);
  return folder;
}
