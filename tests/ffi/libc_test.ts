import assert from "node:assert/strict";
import { SystemError } from "../../ffi/errors.ts";
import { attempt, cString, files, invoke, requireLinux, withFile } from "../../ffi/libc.ts";
import { LINUX_REMEDY } from "../support/descriptors.ts";

const ignore = LINUX_REMEDY !== "";
const name = (text: string) => ignore ? `${text} (skipped: ${LINUX_REMEDY})` : text;

// Libraries stay open, so they are opened before the checks for leaks begin.
if (!ignore) invoke(() => files().close(-1));

Deno.test("other systems are refused in words, before anything is opened", () => {
  requireLinux("AF_VSOCK", { os: "linux", arch: "aarch64" });
  for (
    const platform of [
      { os: "darwin", arch: "aarch64" },
      { os: "windows", arch: "x86_64" },
      { os: "linux", arch: "riscv64" },
    ]
  ) {
    assert.throws(() => requireLinux("AF_VSOCK", platform), {
      name: "UnsupportedPlatformError",
      code: "unsupported-platform",
      message:
        `AF_VSOCK needs Linux on x86-64 or arm64, and this is ${platform.os} on ${platform.arch}`,
    });
  }
});

Deno.test("a system error says what was called, on what, and why", () => {
  const error = new SystemError({ syscall: "connect", address: "vsock 2:1", errno: 111 });
  assert.equal(error.message, "connect vsock 2:1: connection refused (ECONNREFUSED)");
  assert.equal(error.code, "ECONNREFUSED");
  const odd = new SystemError({ syscall: "mount", errno: 117 });
  assert.equal(odd.message, "mount: error 117 (E117)");
  const said = new SystemError({ syscall: "accept", errno: 125, reason: "closed" });
  assert.equal(said.message, "accept: closed (ECANCELED)");
});

Deno.test("a C string ends with the one zero byte that it has", () => {
  assert.deepEqual([...cString("aü")], [0x61, 0xc3, 0xbc, 0]);
  assert.throws(() => cString("a\0b"), TypeError);
});

Deno.test({
  name: name("the error number of a failed call is its own, 100,000 times, whatever else goes on"),
  ignore,
  fn: async () => {
    const missing = cString("/nonexistent/file");
    const { open, close } = files();
    const garbage: unknown[] = [];
    // Another thread that fails all the time, with other numbers: errno is each thread's own.
    const noise = Array.from({ length: 50 }, () => Deno.open("/dev/null/x").catch(() => {}));
    for (let i = 0; i < 50_000; i++) {
      garbage[i & 1023] = { buffer: new Uint8Array(512), text: `${i}` };
      if (invoke(() => close(-1)) !== -9) assert.fail(`EBADF, call ${i}`);
      if (invoke(() => open(missing, 0, 0)) !== -2) assert.fail(`ENOENT, call ${i}`);
    }
    await Promise.all(noise);
  },
});

Deno.test({
  name: name("withFile() closes what it opened, and says what it could not open"),
  ignore,
  fn: () => {
    let seen = -1;
    const link = withFile("/dev/null", (fd) => {
      seen = fd;
      return Deno.readLinkSync(`/proc/self/fd/${fd}`);
    });
    assert.equal(link, "/dev/null");
    assert.throws(() => withFile("/dev/null", () => assert.fail("no")), /no/);
    assert.throws(() => Deno.readLinkSync(`/proc/self/fd/${seen}`));
    assert.throws(() => withFile("/dev/null/x", () => {}), {
      code: "ENOTDIR",
      syscall: "open",
      address: "/dev/null/x",
    });
    assert.throws(() => attempt("close", "17x", () => files().close(-1)), { code: "EBADF" });
  },
});
