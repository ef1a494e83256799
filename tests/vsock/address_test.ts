import assert from "node:assert/strict";
import fc from "fast-check";
import { formatVsockAddress, parseVsockAddress, type VsockAddress } from "../../lib/vsock/mod.ts";

const GOOD: readonly [string, VsockAddress, string?][] = [
  ["2", { kind: "vsock", cid: 2, port: 1024 }, "2:1024"],
  ["2:5000", { kind: "vsock", cid: 2, port: 5000 }],
  ["3:0", { kind: "vsock", cid: 3, port: 0 }],
  ["host", { kind: "vsock", cid: 2, port: 1024 }, "2:1024"],
  ["host:7", { kind: "vsock", cid: 2, port: 7 }, "2:7"],
  ["local:7", { kind: "vsock", cid: 1, port: 7 }, "1:7"],
  ["hypervisor", { kind: "vsock", cid: 0, port: 1024 }, "0:1024"],
  ["any:52", { kind: "vsock", cid: 0xffffffff, port: 52 }],
  ["4294967295:4294967295", { kind: "vsock", cid: 0xffffffff, port: 0xffffffff }, "any:4294967295"],
  ["unix:/run/vm.sock", { kind: "unix", path: "/run/vm.sock" }],
  ["unix:vm.sock:1024", { kind: "unix", path: "vm.sock", port: 1024 }],
  ["unix:/a b/ü:x", { kind: "unix", path: "/a b/ü:x" }],
  ["unix:/x:52:", { kind: "unix", path: "/x:52" }],
  ["unix:/x:52:7", { kind: "unix", path: "/x:52", port: 7 }],
  ["unix:/x::", { kind: "unix", path: "/x:" }],
  ["tcp:127.0.0.1:1024", { kind: "tcp", host: "127.0.0.1", port: 1024 }],
  ["tcp:localhost:0", { kind: "tcp", host: "localhost", port: 0 }],
  ["tcp:[::1]:65535", { kind: "tcp", host: "::1", port: 65535 }],
];

const BAD = [
  "",
  ":",
  ":1024",
  "2:",
  "-1",
  "2:-1",
  "4294967296",
  "2:4294967296",
  "guest",
  "toString",
  "Host",
  "2:1024:1",
  "0x2",
  " 2",
  "2 ",
  "2.5",
  "unix:",
  "unix::7",
  "unix:/x:4294967296",
  "unix:/x\0y",
  "tcp:",
  "tcp:localhost",
  "tcp:localhost:",
  "tcp::1024",
  "tcp:localhost:65536",
  "tcp:::1:1024",
  "tcp:[localhost]:1024",
  "tcp:[]:1024",
  "tcp:a b:1",
];

Deno.test("parseVsockAddress() reads what the help shows, formatVsockAddress() writes it back", () => {
  for (const [text, address, canonical = text] of GOOD) {
    assert.deepEqual(parseVsockAddress(text), address, text);
    assert.equal(formatVsockAddress(address), canonical, text);
  }
});

Deno.test("parseVsockAddress() refuses everything else as a mistake of the user", () => {
  for (const text of BAD) {
    assert.throws(() => parseVsockAddress(text), { code: "usage" }, JSON.stringify(text));
  }
});

Deno.test("parseVsockAddress() takes the port of a context id without one from the caller", () => {
  assert.deepEqual(parseVsockAddress("3", { defaultPort: 5000 }), {
    kind: "vsock",
    cid: 3,
    port: 5000,
  });
});

const u32 = fc.nat(0xffffffff);
const anyAddress: fc.Arbitrary<VsockAddress> = fc.oneof(
  fc.record({ kind: fc.constant("vsock" as const), cid: u32, port: u32 }, {
    noNullPrototype: true,
  }),
  fc.record({
    kind: fc.constant("unix" as const),
    path: fc.stringMatching(/^[a-z0-9:/. \n]+$/),
    port: u32,
  }, { requiredKeys: ["kind", "path"], noNullPrototype: true }),
  fc.record({
    kind: fc.constant("tcp" as const),
    host: fc.constantFrom("localhost", "127.0.0.1", "::1", "vm.internal"),
    port: fc.nat(65535),
  }, { noNullPrototype: true }),
);

Deno.test("every address survives being written and read", () => {
  fc.assert(fc.property(anyAddress, (address) => {
    assert.deepEqual(parseVsockAddress(formatVsockAddress(address)), address);
  }));
});

Deno.test("any text is an address or a usage error, and an address formats to what reads the same", () => {
  const text = fc.oneof(
    fc.string(),
    fc.string().map((rest) => `unix:${rest}`),
    fc.string().map((rest) => `tcp:${rest}`),
    fc.stringMatching(/^(host|any|\d{1,11}|unix:|tcp:)?[:\d[\]]*$/),
  );
  fc.assert(fc.property(text, (text) => {
    let address: VsockAddress;
    try {
      address = parseVsockAddress(text);
    } catch (error) {
      assert.equal((error as { code?: string }).code, "usage");
      return;
    }
    assert.deepEqual(parseVsockAddress(formatVsockAddress(address)), address);
  }));
});
