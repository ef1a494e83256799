/**
 * The program with a fault: once it listens, a promise is rejected that nobody looks at, or an error
 * is thrown where nobody catches it, as the first argument says.
 *
 * @module
 */

import { main } from "../../lib/cli/mod.ts";
import { systemTerminal } from "../../lib/cli/terminal.ts";

const [kind, ...args] = Deno.args;
const terminal = systemTerminal();

function fail(): void {
  if (kind === "rejection") void Promise.reject(new Error("Stray failure"));
  else throw new Error("Stray failure");
}

Deno.exit(
  await main(args, {
    terminal: {
      ...terminal,
      stdout: {
        ...terminal.stdout,
        write: (text) => {
          terminal.stdout.write(text);
          setTimeout(fail);
        },
      },
    },
  }),
);
