/**
 * What `awsocks version` says about this build. The build script writes this file's values before it
 * compiles and puts them back afterwards; in a working tree they say `dev`.
 *
 * @module
 */

/** Version of the program, as in `deno.json`; a test keeps the two equal. */
export const VERSION = "0.1.0";

/** Abbreviated commit the program was built from, or `dev`. */
export const COMMIT: string = "dev";
