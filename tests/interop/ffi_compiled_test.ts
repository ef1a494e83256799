/**
 * `ffi/` in a compiled program, whose runtime may be another one than that of the tests.
 *
 * @module
 */

import assert from "node:assert/strict";
import { COMPILE_NEED } from "../support/compiled.ts";
import { LINUX_REMEDY } from "../support/descriptors.ts";
import { interopTest, note } from "../support/external.ts";

interopTest(
  "descriptors are connections in a compiled program",
  [LINUX_REMEDY, COMPILE_NEED],
  async () => {
    const folder = await Deno.makeTempDir({ prefix: "awsocks-ffi-" });
    const out = `${folder}/program`;
    try {
      const version = Deno.env.get("AWSOCKS_COMPILE_DENO")!;
      const program = new URL("./ffi_compiled_program.ts", import.meta.url).pathname;
      const [command, ...before] = version === Deno.version.deno
        ? [Deno.execPath()]
        : ["npx", "-y", `deno@${version}`];
      await run(command!, [
        ...before,
        ...[
          "compile",
          "--quiet",
          "--no-check",
          "--no-config",
          "--no-lock",
          "--allow-ffi",
          "--output",
          out,
          program,
        ],
      ]);
      const said = await run(out, []);
      assert.match(said, /^Deno \S+ by (pipe|socket)$/);
      await note(`compiled: ${said}`);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
);

async function run(command: string, args: readonly string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(command, { args: [...args] }).output();
  const decoder = new TextDecoder();
  assert.ok(success, `${command}: ${decoder.decode(stderr)}`);
  return decoder.decode(stdout);
}
