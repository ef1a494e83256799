/**
 * Starts a machine of scripts and is killed.
 *
 *     deno run -A killed_owner.ts FOLDER PATH
 *
 * FOLDER has the programs and an image, PATH is where `setpriv` may be found.
 *
 * @module
 */

import { createQemuMachine } from "../../lib/vm/mod.ts";

const [folder, path] = Deno.args;
const machine = await createQemuMachine({
  image: { arch: "x86_64", kernel: "", initrd: `${folder}/initrd.gz` },
  memory: 512,
  cpus: 1,
  qemu: `${folder}/qemu`,
  vsockDevice: `${folder}/device`,
  accelerators: ["tcg"],
  env: { PATH: path, TMPDIR: `${folder}/run` },
});
await machine.start();
await machine.listen(5000);
Deno.kill(Deno.pid, "SIGKILL");
