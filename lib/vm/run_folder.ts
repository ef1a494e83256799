/**
 * The folder of a running machine: its sockets, closed to other users, and what is needed to clear up
 * after a process that was killed.
 *
 * A living owner listens on the socket `owner`; the kernel closes it with the process, whatever ended
 * that. A folder whose owner does not answer is cleared by the next machine that starts: programs
 * named in its `*.pid` files are ended if their command line still speaks of the folder, then it is
 * removed.
 *
 * @module
 */

import { join } from "node:path";
import { AwsocksError, getLog } from "../core/mod.ts";
import { commandLineOf } from "./process.ts";

const log = getLog("vm");

const PREFIX = "awsocks-vm-";

/** Longest path of a Unix socket, without its terminating zero; see unix(7). */
const MAX_SOCKET_PATH = 107;

/** Longest name of a socket in the folder. */
const LONGEST_NAME = "vm.vsock_4294967295";

/** The folder of a machine. */
export interface RunFolder {
  readonly path: string;
  /** Path of a file in it. */
  file(name: string): string;
  /** Writes down a program that has to end with the machine. */
  note(name: string, pid: number): Promise<void>;
  /** Removes it. Idempotent, never rejects. */
  remove(): Promise<void>;
}

/** Makes a folder, after clearing those whose owner is dead. @throws AwsocksError `vm-unavailable` */
export async function createRunFolder(
  env: Readonly<Record<string, string | undefined>>,
): Promise<RunFolder> {
  const root = env["TMPDIR"] || "/tmp";
  await clearDead(root);
  const path = await Deno.makeTempDir({ dir: root, prefix: PREFIX }); // mode 0700
  if (join(path, LONGEST_NAME).length > MAX_SOCKET_PATH) {
    await Deno.remove(path, { recursive: true });
    throw new AwsocksError("vm-unavailable", `The path of ${root} is too long for sockets`, {
      hint: "set TMPDIR to a shorter one",
    });
  }
  const owner = Deno.listen({ transport: "unix", path: join(path, "owner") });
  let removed: Promise<void> | undefined;
  return {
    path,
    file: (name) => join(path, name),
    note: (name, pid) => Deno.writeTextFile(join(path, `${name}.pid`), `${pid}\n`),
    remove: () =>
      removed ??= (async () => {
        owner.close();
        await removeFolder(path);
      })(),
  };
}

/** Clears the folders of this user's dead processes. Never rejects. */
async function clearDead(root: string): Promise<void> {
  try {
    for await (const { name, isDirectory } of Deno.readDir(root)) {
      const path = join(root, name);
      if (!isDirectory || !name.startsWith(PREFIX) || !await isDead(path)) continue;
      await endPrograms(path);
      await removeFolder(path);
      log.info("Cleared up after a machine that was left behind", { folder: path });
    }
  } catch (error) {
    log.debug("Cannot look for machines that were left behind", { error });
  }
}

/** True for a folder of ours whose owner's socket refuses. A folder that is being made has none yet. */
async function isDead(path: string): Promise<boolean> {
  try {
    const { uid } = await Deno.lstat(path);
    if (uid !== Deno.uid()) return false;
    (await Deno.connect({ transport: "unix", path: join(path, "owner") })).close();
    return false;
  } catch (error) {
    return error instanceof Deno.errors.ConnectionRefused;
  }
}

async function endPrograms(path: string): Promise<void> {
  for await (const { name } of Deno.readDir(path)) {
    if (!name.endsWith(".pid")) continue;
    const pid = Number(await Deno.readTextFile(join(path, name)));
    // The number may belong to somebody else by now.
    if (!(pid > 1) || !(await commandLineOf(pid)).includes(path)) continue;
    Deno.kill(pid, "SIGKILL");
    log.info("Ended a program that was left behind", { program: name.slice(0, -4), pid });
  }
}

async function removeFolder(path: string): Promise<void> {
  try {
    await Deno.remove(path, { recursive: true });
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) {
      log.debug("Cannot remove the folder of a machine", { folder: path, error });
    }
  }
}
