/**
 * What can be said of vsock without opening one; the rest runs in a guest, in `tests/interop`.
 *
 * @module
 */

import assert from "node:assert/strict";
import { CID_HOST, connectVsock, listenVsock } from "../../ffi/vsock.ts";
import { LINUX_REMEDY } from "../support/descriptors.ts";

const ignore = LINUX_REMEDY !== "";

Deno.test({
  name: "context ids and ports are numbers of 32 bits",
  ignore,
  fn: async () => {
    for (const wrong of [-1, 1.5, 2 ** 32, NaN]) {
      await assert.rejects(connectVsock({ cid: CID_HOST, port: wrong }), RangeError);
      await assert.rejects(connectVsock({ cid: wrong, port: 1 }), RangeError);
      assert.throws(() => listenVsock({ cid: wrong, port: 1 }), RangeError);
      assert.throws(() => listenVsock({ port: wrong }), RangeError);
    }
  },
});

Deno.test({
  name: "an aborted signal opens nothing",
  ignore,
  fn: async () => {
    const reason = new Error("no");
    const signal = AbortSignal.abort(reason);
    await assert.rejects(connectVsock({ cid: CID_HOST, port: 1, signal }), reason);
  },
});

Deno.test("importing opens no library and needs no permission", async () => {
  const { code, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", new URL("../../ffi/vsock.ts", import.meta.url).pathname],
    stdout: "null",
    stderr: "piped",
  }).output();
  assert.equal(code, 0, new TextDecoder().decode(stderr));
});
