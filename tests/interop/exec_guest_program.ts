/**
 * What runs in the guest of `exec_guest_test.ts`: both sides of the command protocol over vsock's
 * loopback, then `vsock-client` against the host. Says on the console how it went.
 *
 * @module
 */

import { systemTerminal } from "../../lib/cli/terminal.ts";
import { runVsockClientProgram } from "../../lib/cli/vsock_client.ts";
import { connectVsock, listenVsock, parseVsockAddress } from "../../lib/vsock/mod.ts";
import { SCENARIOS, type Transport } from "../exec/scenarios.ts";

async function say(line: string): Promise<void> {
  await Deno.stdout.write(new TextEncoder().encode(`${line}\n`));
}

let port = 2000;

/** A connection of this machine with itself. */
const loopback: Transport = async () => {
  using listener = await listenVsock(parseVsockAddress(`local:${port++}`));
  const far = listener.accept();
  return { near: await connectVsock(listener.address), far: await far };
};

for (const [name, scenario] of Object.entries(SCENARIOS)) {
  try {
    await scenario(loopback);
    await say(`ok ${name}`);
  } catch (error) {
    await say(`failed ${name}: ${error instanceof Error ? error.stack : error}`);
  }
}

// What the test has in mind for each is with the test.
for (const line of Deno.args) {
  await say(`starts ${line}`);
  const terminal = systemTerminal();
  const code = await runVsockClientProgram(line.split(" "), { terminal, exit: Deno.exit });
  await say(`exit ${code} ${line}`);
}
await say("done");
