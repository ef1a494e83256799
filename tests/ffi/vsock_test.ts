/**
 * What can be said of vsock without opening one; the rest runs in a guest, in `tests/interop`.
 *
 * @module
 */

import assert from "node:assert/strict";
import fc from "fast-check";
import { CID_ANY, CID_HOST, connectVsock, listenVsock } from "../../ffi/vsock.ts";
import { decodeAddress, encodeAddress } from "../../ffi/vsock_address.ts";
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

Deno.test("an address is the kernel's sockaddr_vm, there and back", () => {
  const { bytes, text } = encodeAddress({ cid: CID_HOST, port: 1024 });
  assert.equal(text, "vsock 2:1024");
  assert.equal(bytes.toHex(), "28000000000400000200000000000000");
  const u32 = fc.nat(0xffff_ffff);
  fc.assert(fc.property(u32, u32, (cid, port) => {
    assert.deepEqual(decodeAddress(encodeAddress({ cid, port }).bytes), { cid, port });
  }));
});

Deno.test("what is no sockaddr_vm, or a part of one, is refused", () => {
  const { bytes } = encodeAddress({ cid: CID_ANY, port: 1 });
  for (let length = 0; length < bytes.byteLength; length++) {
    assert.throws(() => decodeAddress(bytes.subarray(0, length)), RangeError);
  }
  fc.assert(fc.property(fc.uint8Array({ maxLength: 128 }), (bytes) => {
    const isVsock = bytes.byteLength >= 16 && bytes[0] === 40 && bytes[1] === 0;
    if (isVsock) decodeAddress(bytes);
    else assert.throws(() => decodeAddress(bytes), RangeError);
  }));
});

Deno.test("ffi/vsock.ts needs nothing of the rest of the tree", async () => {
  const entry = new URL("../../ffi/vsock.ts", import.meta.url);
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["info", "--json", entry.pathname],
    stderr: "null",
  }).output();
  const { modules } = JSON.parse(new TextDecoder().decode(stdout)) as {
    modules: { specifier: string }[];
  };
  const folder = new URL("./", entry).href;
  const foreign = modules.map(({ specifier }) => specifier)
    .filter((each) => !each.startsWith("node:") && !each.startsWith(folder));
  assert.ok(modules.length > 5);
  assert.deepEqual(foreign, []);
});

Deno.test("importing opens no library and needs no permission", async () => {
  const { code, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", new URL("../../ffi/vsock.ts", import.meta.url).pathname],
    stdout: "null",
    stderr: "piped",
  }).output();
  assert.equal(code, 0, new TextDecoder().decode(stderr));
});
