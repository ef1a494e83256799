/**
 * The program `awsocks-agent`, which runs in a Linux guest.
 *
 * @module
 */

import { agentMain } from "./lib/cli/agent.ts";

if (import.meta.main) Deno.exit(await agentMain(Deno.args));
