import assert from "node:assert/strict";
import fc from "fast-check";
import { type Entry, withFolders, writeCpio } from "../../scripts/guest/cpio.ts";
import { need } from "../support/external.ts";

const segment = fc.stringMatching(/^[a-zA-Z0-9_-][a-zA-Z0-9._+-]{0,20}$/);
const path = fc.array(segment, { minLength: 1, maxLength: 4 }).map((parts) => parts.join("/"));
const mode = fc.integer({ min: 0, max: 0o7777 });

const entry: fc.Arbitrary<Entry> = fc.oneof(
  fc.record({ kind: fc.constant("folder" as const), path, mode }),
  fc.record({
    kind: fc.constant("file" as const),
    path,
    mode,
    data: fc.uint8Array({ maxLength: 600 }),
  }),
  fc.record({ kind: fc.constant("link" as const), path, target: path }),
  fc.record({
    kind: fc.constant("device" as const),
    path,
    mode,
    major: fc.nat(4095),
    minor: fc.nat(1_048_575),
  }),
);

/** Entries of which none is in the way of another. */
const entries = fc.array(entry, { maxLength: 12 }).map((all) => {
  const kept: Entry[] = [];
  const clashes = (a: Entry, b: Entry) =>
    a.path === b.path || (a.path.startsWith(`${b.path}/`) && b.kind !== "folder");
  for (const each of all) {
    if (!kept.some((other) => clashes(each, other) || clashes(other, each))) kept.push(each);
  }
  return kept;
});

interface Header {
  readonly name: string;
  readonly fields: readonly number[];
  readonly data: Uint8Array;
}

/** Reads an archive as the documentation of the kernel describes it. */
function read(archive: Uint8Array): Header[] {
  const headers: Header[] = [];
  let at = 0;
  const aligned = () => at = (at + 3) & ~3;
  const take = (bytes: number) => {
    assert.ok(at + bytes <= archive.byteLength, "archive is cut off");
    return archive.subarray(at, at += bytes);
  };
  const text = (bytes: number) => new TextDecoder().decode(take(bytes));
  for (;;) {
    assert.equal(text(6), "070701");
    const fields = Array.from({ length: 13 }, () => {
      const digits = text(8);
      assert.match(digits, /^[0-9A-F]{8}$/);
      return parseInt(digits, 16);
    });
    const name = text(fields[11]!);
    assert.equal(name.indexOf("\0"), name.length - 1);
    aligned();
    const data = take(fields[6]!);
    aligned();
    if (name === "TRAILER!!!\0") break;
    headers.push({ name: name.slice(0, -1), fields, data });
  }
  assert.ok(archive.subarray(at).every((byte) => byte === 0));
  assert.equal(archive.byteLength % 512, 0);
  return headers;
}

Deno.test("writeCpio() writes what it is given, folders first, dated 1970 and owned by root", () => {
  const types = { folder: 0o040000, file: 0o100000, link: 0o120000, device: 0o020000 };
  fc.assert(fc.property(entries, (given) => {
    const found = read(writeCpio(given));
    const seen = new Set<string>();
    found.forEach(({ name, fields, data }, index) => {
      const parent = name.slice(0, Math.max(0, name.lastIndexOf("/")));
      assert.ok(parent === "" || seen.has(parent), `${name} comes before its folder`);
      seen.add(name);
      const [inode, mode, user, group, , time, , , , major, minor] = fields;
      assert.deepEqual([inode, user, group, time], [index + 1, 0, 0, 0]);
      const entry = given.find((each) => each.path === name) ?? { kind: "folder", path: name };
      assert.equal(mode! & 0o170000, types[entry.kind]);
      if (entry.mode !== undefined) assert.equal(mode! & 0o7777, entry.mode);
      if (entry.kind === "file") assert.deepEqual(data, entry.data);
      else if (entry.kind === "link") assert.equal(new TextDecoder().decode(data), entry.target);
      else assert.equal(data.byteLength, 0);
      if (entry.kind === "device") assert.deepEqual([major, minor], [entry.major, entry.minor]);
    });
    for (const each of given) assert.ok(seen.has(each.path));
  }));
});

Deno.test("writeCpio() does not depend on the order of its entries", () => {
  fc.assert(fc.property(entries, (given) => {
    assert.deepEqual(writeCpio(given), writeCpio(given.toReversed()));
  }));
});

Deno.test("writeCpio() refuses paths that are absolute, climb, or stand in each other's way", () => {
  const data = new Uint8Array();
  for (const path of ["/etc/x", "", "a//b", "../x", "a/./b", "a/..", "a\0b", "a/"]) {
    assert.throws(() => writeCpio([{ kind: "file", path, data }]), RangeError, path);
  }
  const twice: Entry[] = [{ kind: "file", path: "a", data }, { kind: "folder", path: "a" }];
  assert.throws(() => withFolders(twice), RangeError);
  const below: Entry[] = [{ kind: "file", path: "a", data }, { kind: "file", path: "a/b", data }];
  assert.throws(() => withFolders(below), RangeError);
});

/** Commands that list an archive: cpio itself, or busybox's. */
const listers: readonly (readonly [string, ...string[]])[] = [["cpio"], ["busybox", "cpio"]];

for (const [program, ...before] of listers) {
  const name = `${[program, ...before].join(" ")} -t lists the paths of writeCpio()`;
  const missing = need(program);
  Deno.test({
    name: missing ? `${name} (skipped: ${missing})` : name,
    ignore: missing !== "",
    fn: async () => {
      const property = fc.asyncProperty(entries, async (given) => {
        const child = new Deno.Command(program, {
          args: [...before, "-t"],
          stdin: "piped",
          stdout: "piped",
          stderr: "null",
        }).spawn();
        const writer = child.stdin.getWriter();
        // A program that has seen the trailer may hang up before the padding.
        await writer.write(new Uint8Array(writeCpio(given))).catch(() => {});
        await writer.close().catch(() => {});
        const { success, stdout } = await child.output();
        const listed = new TextDecoder().decode(stdout).split("\n").filter((line) => line !== "");
        assert.ok(success);
        assert.deepEqual(listed, withFolders(given).map((each) => each.path));
      });
      await fc.assert(property, { numRuns: 25 });
    },
  });
}
