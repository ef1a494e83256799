import assert from "node:assert/strict";
import { COMMIT, VERSION } from "../../lib/core/build_info.ts";
import { versionLine } from "../../lib/cli/version.ts";

Deno.test("VERSION is the version of deno.json, COMMIT is not stamped in the tree", async () => {
  const text = await Deno.readTextFile(new URL("../../deno.json", import.meta.url));
  assert.equal(VERSION, JSON.parse(text).version);
  assert.equal(COMMIT, "dev");
});

Deno.test("versionLine() names program, version, commit and runtime", () => {
  assert.equal(
    versionLine("awsocks", "abc1234", "2.9.6"),
    `awsocks ${VERSION} (commit abc1234, deno 2.9.6)`,
  );
});
