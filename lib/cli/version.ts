/**
 * The line of `awsocks version`.
 *
 * @module
 */

import { COMMIT, VERSION } from "../core/build_info.ts";

/** `awsocks 0.1.0 (commit abc1234, deno 2.9.6)`. */
export function versionLine(
  program: string = "awsocks",
  commit: string = COMMIT,
  deno: string = Deno.version.deno,
): string {
  return `${program} ${VERSION} (commit ${commit}, deno ${deno})`;
}
