import assert from "node:assert/strict";
import fc from "fast-check";
import { dependenciesOf, machineOf, sectionOf } from "../../scripts/guest/elf.ts";
import { loadOrder } from "../../scripts/guest/modules.ts";

/** A module's file: ELF with a `.modinfo` section and the table of section names. */
function elf(machine: number, modinfo: string): Uint8Array {
  const names = "\0.shstrtab\0.modinfo\0";
  const [info, strings] = [64, 64 + modinfo.length];
  const table = strings + names.length;
  const file = new Uint8Array(table + 3 * 64);
  const view = new DataView(file.buffer);
  file.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  view.setUint16(18, machine, true);
  view.setBigUint64(40, BigInt(table), true);
  view.setUint16(58, 64, true);
  view.setUint16(60, 3, true);
  view.setUint16(62, 1, true);
  const section = (index: number, name: string, from: number, length: number) => {
    view.setUint32(table + index * 64, names.indexOf(name), true);
    view.setBigUint64(table + index * 64 + 24, BigInt(from), true);
    view.setBigUint64(table + index * 64 + 32, BigInt(length), true);
  };
  section(1, ".shstrtab", strings, names.length);
  section(2, ".modinfo", info, modinfo.length);
  file.set(new TextEncoder().encode(modinfo), info);
  file.set(new TextEncoder().encode(names), strings);
  return file;
}

Deno.test("dependenciesOf() reads the depends line of .modinfo", () => {
  const module = elf(183, "license=GPL\0depends=virtio_ring,virtio\0name=virtio_pci\0");
  assert.deepEqual(dependenciesOf(module), ["virtio_ring", "virtio"]);
  assert.deepEqual(dependenciesOf(elf(62, "license=GPL\0depends=\0")), []);
  assert.equal(machineOf(module), "aarch64");
  assert.equal(machineOf(elf(62, "")), "x86_64");
});

Deno.test("files that are no modules are told", () => {
  assert.throws(() => dependenciesOf(new TextEncoder().encode("no ELF file at all")), TypeError);
  assert.equal(machineOf(new Uint8Array(3)), undefined);
  assert.equal(sectionOf(elf(62, ""), ".nothing"), undefined);
});

Deno.test("loadOrder() puts every module after its dependencies, once", () => {
  const graph = fc.array(fc.array(fc.nat(11), { maxLength: 4 }), { minLength: 12, maxLength: 12 });
  fc.assert(fc.property(graph, fc.subarray([...Array(12).keys()]), (edges, wanted) => {
    // A module depends on lower numbers only, so that there is no circle.
    const needs = (name: string) => {
      const number = Number(name.slice(1));
      return edges[number]!.filter((each) => each < number).map((each) => `m${each}`);
    };
    const order = loadOrder(wanted.map((each) => `m${each}`), needs);
    assert.equal(new Set(order).size, order.length);
    for (const each of wanted) assert.ok(order.includes(`m${each}`));
    order.forEach((name, at) => {
      for (const each of needs(name)) assert.ok(order.indexOf(each) < at && order.includes(each));
    });
  }));
});

Deno.test("loadOrder() treats - and _ alike, and names what is missing", () => {
  const needs = (name: string) => ({ virtio_rng: ["virtio-core"], virtio_core: [] })[name];
  assert.deepEqual(loadOrder(["virtio-rng"], needs), ["virtio_core", "virtio_rng"]);
  assert.throws(() => loadOrder(["a"], (name) => name === "a" ? ["b"] : undefined), {
    message: "There is no module b, which a needs",
  });
  assert.throws(() => loadOrder(["a"], () => ["a"]), { message: "a depends on itself" });
});
