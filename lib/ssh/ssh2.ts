/**
 * Loads `ssh2` on first use and mends its compression for Deno before that.
 *
 * Everything that uses ssh2, client or server, must get it from {@linkcode loadSsh2}: the mended
 * classes are only seen by a library that has not been loaded yet.
 *
 * @module
 */

// @ts-types="@types/ssh2"
import type ssh2Module from "ssh2";
import { getLog } from "../core/mod.ts";
import { installCompression } from "./compression.ts";

/** The module `ssh2`. */
export type Ssh2 = typeof ssh2Module;

/** The library, and whether `zlib@openssh.com` and `zlib` work in it. */
export interface LoadedSsh2 {
  readonly ssh2: Ssh2;
  readonly compression: boolean;
}

let loaded: Promise<LoadedSsh2> | undefined;

/** Loads the library once; later calls share the result. */
export function loadSsh2(): Promise<LoadedSsh2> {
  return loaded ??= load();
}

async function load(): Promise<LoadedSsh2> {
  const log = getLog("ssh");
  let compression = false;
  try {
    const codec = await installCompression();
    compression = true;
    log.debug("SSH compression is ready", { codec });
  } catch (error) {
    log.warn("SSH compression does not work on this runtime, connecting without", { error });
  }
  const { default: ssh2 }: { default: Ssh2 } = await import("ssh2");
  return { ssh2, compression };
}
