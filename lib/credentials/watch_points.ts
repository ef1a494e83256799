/**
 * Which directories have to be watched, and for which names in them, to notice every change of a file
 * that may not exist yet, may be replaced by renaming, and may be reached through symbolic links.
 *
 * @module
 */

import { dirname, join, parse, resolve, sep } from "node:path";

/** A path to be followed. */
export interface Watched {
  readonly path: string;
  /** A directory of which every entry matters. */
  readonly directory?: boolean;
}

/** Names that matter in one directory. */
export type Names = ReadonlySet<string> | "all";

/** How many symbolic links are followed, as in Linux. */
const LINK_LIMIT = 40;

/**
 * The watch points of some paths, as they are now. Where a part of a path is missing, the nearest
 * existing directory is watched for it. Symbolic links on the way are watched as well: mounted
 * secrets are renewed by replacing a link in a parent directory.
 */
export async function watchPoints(paths: readonly Watched[]): Promise<Map<string, Names>> {
  const points = new Map<string, Names>();
  const add = (directory: string, name: string | undefined) => {
    const names = points.get(directory);
    if (name === undefined) points.set(directory, "all");
    else if (names !== "all") points.set(directory, new Set([...names ?? [], name]));
  };
  for (const watched of paths) await follow(watched, add);
  return points;
}

async function follow(
  { path, directory }: Watched,
  add: (directory: string, name: string | undefined) => void,
): Promise<void> {
  const absolute = resolve(path);
  const { root } = parse(absolute);
  let parent = root;
  let links = 0;
  const rest = partsOf(absolute, root);
  for (let name = rest.shift(); name !== undefined; name = rest.shift()) {
    if (name === "..") {
      parent = dirname(parent);
      continue;
    }
    const at = join(parent, name);
    const info = await Deno.lstat(at).catch(() => undefined);
    if (info?.isSymlink && links++ < LINK_LIMIT) {
      // Links in the root directory (`/home`, `/tmp`) are the system's and do not change.
      if (parent !== root) add(parent, name);
      const target = await Deno.readLink(at).catch(() => "");
      const targetRoot = parse(target).root;
      if (targetRoot) parent = targetRoot;
      rest.unshift(...partsOf(target, targetRoot));
    } else if (info?.isDirectory) {
      parent = at;
    } else {
      // The file itself, or the first part that is missing.
      add(parent, name);
      return;
    }
  }
  if (directory) add(parent, undefined);
}

function partsOf(path: string, root: string): string[] {
  return path.slice(root.length).split(sep).filter((part) => part !== "" && part !== ".");
}
