import assert from "node:assert/strict";
import { checkDoors, importsOf } from "../../scripts/doors.ts";

const check = (files: Record<string, string>) => checkDoors(new Map(Object.entries(files)));

Deno.test("checkDoors() lets imports go down and within a room", () => {
  assert.deepEqual(
    check({
      "main.ts": 'import { main } from "./lib/cli/mod.ts";',
      "lib/cli/mod.ts": 'const m = await import("../proxy/mod.ts");\nimport "./x.ts";',
      "lib/guest/mod.ts": 'import { x } from "../backend/mod.ts";',
      "lib/ssm/a.ts": 'import type { A } from "../core/mod.ts";\nexport * from "./b.ts";',
      "lib/vsock/a.ts":
        'import type { V } from "../../ffi/vsock.ts";\nawait import("../../ffi/vsock.ts");',
    }),
    [],
  );
});

Deno.test("checkDoors() refuses imports that go up or sideways", () => {
  const upward = [
    ["lib/ssm/a.ts", "../ssh/mod.ts"],
    ["lib/aws/a.ts", "../credentials/mod.ts"],
    ["lib/core/a.ts", "../config/mod.ts"],
    ["lib/backend/a.ts", "../proxy/mod.ts"],
    ["lib/proxy/a.ts", "../cli/mod.ts"],
    ["lib/sandbox/a.ts", "../ssm/session.ts"],
    ["lib/nowhere/a.ts", "../core/mod.ts"],
    ["lib/cli/a.ts", "../../scripts/doors.ts"],
    ["ffi/a.ts", "../lib/core/mod.ts"],
    ["main.ts", "./lib/proxy/mod.ts"],
  ] as const;
  for (const [path, specifier] of upward) {
    for (const source of [`import { x } from "${specifier}";`, `await import("${specifier}");`]) {
      assert.equal(check({ [path]: source }).length, 1, `${path} → ${specifier}`);
    }
  }
});

Deno.test("checkDoors() wants ffi/ opened late and by few", () => {
  assert.match(
    check({ "lib/vm/a.ts": 'import { v } from "../../ffi/vsock.ts";' })[0]!,
    /when used/,
  );
  assert.match(
    check({ "lib/exec/a.ts": 'await import("../../ffi/vsock.ts");' })[0]!,
    /may not open/,
  );
});

Deno.test("checkDoors() finds exits, FFI and console where they do not belong", () => {
  const source = 'Deno.exit(1);\nDeno.dlopen("x", {});\nconsole.log("x");\n';
  assert.equal(check({ "lib/proxy/a.ts": source }).length, 3);
  assert.deepEqual(check({ "lib/proxy/a.ts": "/** Deno.exit(1) */\n// console.log(1)\n" }), []);
});

Deno.test("checkDoors() finds long files", () => {
  assert.match(check({ "lib/proxy/a.ts": "x;\n".repeat(401) })[0]!, /401 lines/);
});

Deno.test("importsOf() reads every form of import", () => {
  const source = `
import def, { a } from "./1.ts";
import * as ns from "./2.ts";
import "./3.ts";
export { b } from "./4.ts";
export type { C } from "./5.ts";
import {
  d,
  e,
} from "./6.ts";
const f = () => import("./7.ts");
import ws from "ws";
`;
  assert.deepEqual(
    importsOf("lib/x/y.ts", source).map(({ target }) => target),
    ["1", "2", "3", "4", "5", "6", "7"].map((name) => `lib/x/${name}.ts`),
  );
});
