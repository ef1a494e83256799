/**
 * The shared credentials file of a stack, with the keys of its sandbox.
 *
 * @module
 */

import type { Credentials } from "../../lib/core/mod.ts";
import type { Stack } from "./stack.ts";

/** Below the home directory. */
export const CREDENTIALS_FILE = ".aws/credentials";

/** Keys as the default profile. */
export function credentialsText(credentials: Credentials): string {
  return [
    "[default]",
    `aws_access_key_id = ${credentials.accessKeyId}`,
    `aws_secret_access_key = ${credentials.secretAccessKey}`,
    ...(credentials.sessionToken ? [`aws_session_token = ${credentials.sessionToken}`] : []),
    "",
  ].join("\n");
}

/** Puts keys into the file of a stack. */
export async function putCredentials({ home }: Stack, credentials: Credentials): Promise<void> {
  await Deno.mkdir(`${home}/.aws`, { recursive: true });
  // As the AWS CLI does it: whoever watches sees the old file or the new one.
  await Deno.writeTextFile(`${home}/.aws/new`, credentialsText(credentials));
  await Deno.rename(`${home}/.aws/new`, `${home}/${CREDENTIALS_FILE}`);
}

/** Gives the user new keys, also in the file that the proxy reads, and waits until it has read them. */
export async function renewCredentials(stack: Stack): Promise<void> {
  await putCredentials(stack, stack.sandbox.setCredentials());
  await stack.logged(/^AWS credentials refreshed/);
}
