import assert from "node:assert/strict";
import { AwsocksError } from "../../lib/core/mod.ts";
import { findGuestImage, imageFolders } from "../../lib/vm/mod.ts";

async function inFolder(work: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "awsocks-image-" });
  try {
    await work(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function putImage(folder: string, arch: string): Promise<void> {
  await Deno.mkdir(folder, { recursive: true });
  await Deno.writeTextFile(`${folder}/vmlinuz`, "kernel");
  await Deno.writeTextFile(`${folder}/initrd.gz`, "archive");
  const facts = { arch, bytes: { "vmlinuz": 6, "initrd.gz": 7 } };
  await Deno.writeTextFile(`${folder}/guest.json`, JSON.stringify(facts));
}

const unavailable = (message: RegExp) => (error: unknown) => {
  assert.ok(error instanceof AwsocksError);
  assert.equal(error.code, "vm-unavailable");
  assert.match(error.message, message);
  assert.match(error.hint, /build:guest/);
  return true;
};

Deno.test("findGuestImage() takes the first folder with an image of the architecture", async () => {
  await inFolder(async (folder) => {
    await putImage(`${folder}/a`, "aarch64");
    await putImage(`${folder}/b/x86_64`, "x86_64");
    await putImage(`${folder}/c`, "x86_64");
    const folders = ["none", "a", "b", "c"].map((name) => `${folder}/${name}`);
    assert.deepEqual(await findGuestImage({ arch: "x86_64", folders }), {
      arch: "x86_64",
      kernel: `${folder}/b/x86_64/vmlinuz`,
      initrd: `${folder}/b/x86_64/initrd.gz`,
    });
    const { kernel } = await findGuestImage({ arch: "aarch64", folders });
    assert.equal(kernel, `${folder}/a/vmlinuz`);
  });
});

Deno.test("findGuestImage() looks only into a folder that is named, for any architecture", async () => {
  await inFolder(async (folder) => {
    await putImage(`${folder}/named`, "aarch64");
    await putImage(`${folder}/usual`, "x86_64");
    const options = { arch: "x86_64" as const, folders: [`${folder}/usual`] };
    const { arch } = await findGuestImage({ ...options, folder: `${folder}/named` });
    assert.equal(arch, "aarch64");
    await assert.rejects(
      findGuestImage({ ...options, folder: `${folder}/none` }),
      unavailable(/No guest image for x86_64 in .*\/none$/),
    );
  });
});

Deno.test("findGuestImage() tells a damaged image from a missing one", async () => {
  await inFolder(async (folder) => {
    const find = () => findGuestImage({ arch: "x86_64", folder, folders: [] });
    await putImage(folder, "x86_64");
    await Deno.writeTextFile(`${folder}/initrd.gz`, "arch");
    await assert.rejects(find, unavailable(/initrd\.gz has 4 bytes in place of 7/));
    await Deno.remove(`${folder}/initrd.gz`);
    await assert.rejects(find, unavailable(/initrd\.gz cannot be read/));
    await Deno.writeTextFile(`${folder}/guest.json`, "{");
    await assert.rejects(find, unavailable(/guest\.json cannot be read/));
    await Deno.writeTextFile(`${folder}/guest.json`, "null");
    await assert.rejects(find, unavailable(/names no architecture/));
  });
});

Deno.test("imageFolders() are beside the program, in the user's data and in the tree", () => {
  const program = "/opt/awsocks/bin/awsocks";
  const [beside, data, tree] = imageFolders({ env: {}, home: "/home/u", program });
  assert.equal(beside, "/opt/awsocks/share/awsocks");
  assert.equal(data, "/home/u/.local/share/awsocks");
  assert.match(tree!, /\/dist\/guest$/);
  const env = { XDG_DATA_HOME: "/data" };
  assert.equal(imageFolders({ env, home: undefined, program })[1], "/data/awsocks");
});
