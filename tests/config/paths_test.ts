import assert from "node:assert/strict";
import { defaultConfigPath, expandHome } from "../../lib/config/paths.ts";

Deno.test("defaultConfigPath() follows XDG", () => {
  assert.equal(defaultConfigPath({ env: {}, home: "/h" }), "/h/.config/awsocks/config.toml");
  const env = { XDG_CONFIG_HOME: "/x/" };
  assert.equal(defaultConfigPath({ env, home: undefined }), "/x/awsocks/config.toml");
  assert.equal(defaultConfigPath({ env: {}, home: undefined }), undefined);
});

Deno.test("expandHome() replaces a leading tilde only", () => {
  assert.equal(expandHome("~/a", "/h/"), "/h/a");
  assert.equal(expandHome("~", "/h"), "/h");
  assert.equal(expandHome("a/~", "/h"), "a/~");
  assert.equal(expandHome("~\\a", "C:\\h"), "C:\\h\\a");
  assert.throws(() => expandHome("~bob", "/h"), { code: "config-invalid" });
  assert.throws(() => expandHome("~", undefined), { code: "config-invalid" });
});
