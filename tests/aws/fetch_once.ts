/**
 * A program of its own, because proxy variables belong to the whole process: fetches the URL given as
 * argument the way the environment says, and prints the answer.
 *
 * @module
 */

import { createNetwork } from "../../lib/aws/mod.ts";

using network = createNetwork({ env: Deno.env.toObject() });
const response = await network.fetch(Deno.args[0]!);
await Deno.stdout.write(await response.bytes());
