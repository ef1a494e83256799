import assert from "node:assert/strict";
import { qemuArgs, type QemuOptions } from "../../lib/vm/qemu_args.ts";

const options: QemuOptions = {
  image: { arch: "x86_64", kernel: "/i/vmlinuz", initrd: "/i/initrd.gz" },
  initrd: "/run/initrd",
  accelerator: "tcg",
  memory: 512,
  cpus: 2,
  vsock: { kind: "vhost-user", socket: "/run/vhost.sock" },
  consoleSocket: "/run/console.sock",
  agentArgs: ["--host", "2:50000"],
};

/** Value of each option that is given once. */
function valueOf(args: readonly string[], name: string): string {
  assert.equal(args.filter((each) => each === name).length, 1, name);
  return args[args.indexOf(name) + 1]!;
}

Deno.test("qemuArgs() for a translated x86-64 guest with a vsock program", () => {
  const args = qemuArgs(options);
  assert.equal(valueOf(args, "-accel"), "tcg");
  assert.equal(valueOf(args, "-cpu"), "max");
  assert.equal(valueOf(args, "-m"), "512M");
  assert.equal(valueOf(args, "-smp"), "2");
  assert.equal(valueOf(args, "-initrd"), "/run/initrd");
  assert.equal(valueOf(args, "-machine"), "q35,memory-backend=memory");
  assert.match(valueOf(args, "-object"), /size=512M,share=on$/);
  assert.equal(
    valueOf(args, "-append"),
    "console=ttyS0 console=hvc0 quiet panic=-1 -- --host 2:50000",
  );
  assert.ok(args.includes("socket,id=vsock,path=/run/vhost.sock"));
  assert.ok(args.includes("vhost-user-vsock-pci,chardev=vsock"));
});

Deno.test("qemuArgs() for an aarch64 guest on its own processor with the kernel's vsock", () => {
  const args = qemuArgs({
    ...options,
    image: { ...options.image, arch: "aarch64" },
    accelerator: "kvm",
    vsock: { kind: "vhost", cid: 77 },
    agentArgs: [],
  });
  assert.equal(valueOf(args, "-cpu"), "host");
  assert.equal(valueOf(args, "-machine"), "virt,memory-backend=memory");
  assert.equal(valueOf(args, "-append"), "console=ttyAMA0 console=hvc0 quiet panic=-1");
  assert.ok(args.includes("vhost-vsock-pci,guest-cid=77"));
});

Deno.test("qemuArgs() spells commas in paths as QEMU wants them", () => {
  const args = qemuArgs({ ...options, consoleSocket: "/run/a,b/console.sock" });
  assert.ok(args.includes("socket,id=console,path=/run/a,,b/console.sock"));
});
