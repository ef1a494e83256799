/**
 * How the project names itself to AWS.
 *
 * @module
 */

import { VERSION } from "../core/build_info.ts";

/** Value of `User-Agent`; shows up in the account's CloudTrail. */
export const USER_AGENT = `awsocks/${VERSION}`;
