/**
 * How the project names itself to AWS.
 *
 * @module
 */

import manifest from "../../deno.json" with { type: "json" };

/** Value of `User-Agent`; shows up in the account's CloudTrail. */
export const USER_AGENT = `awsocks/${manifest.version}`;
