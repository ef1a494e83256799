/**
 * The program `awsocks-agent`, which runs in a Linux guest. Its commands are not there yet.
 *
 * @module
 */

import { versionLine } from "./lib/cli/version.ts";

const TO_COME = `awsocks-agent: the guest agent of awsocks; this version has no commands yet
to come: init (bring the guest up and serve the tunnel), exec (run commands for the host)
`;

if (import.meta.main) {
  const version = ["version", "--version", "-V"].includes(Deno.args[0] ?? "");
  const text = version ? `${versionLine("awsocks-agent")}\n` : TO_COME;
  await (version ? Deno.stdout : Deno.stderr).write(new TextEncoder().encode(text));
  Deno.exit(version ? 0 : 2);
}
