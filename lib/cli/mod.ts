/**
 * The command line: the only room that prints or exits.
 *
 * @module
 */

export { main, type MainOptions } from "./main.ts";
export { versionLine } from "./version.ts";
