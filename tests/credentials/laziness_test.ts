/**
 * What must not be loaded before it is needed.
 */

import assert from "node:assert/strict";

/** Modules that a module imports statically, transitively. */
async function importsOf(path: string): Promise<string[]> {
  const url = new URL(path, import.meta.url).href;
  const { stdout } = await new Deno.Command(Deno.execPath(), { args: ["info", "--json", url] })
    .output();
  const { modules, redirects } = JSON.parse(new TextDecoder().decode(stdout)) as {
    modules: {
      specifier: string;
      dependencies?: { code?: { specifier?: string }; isDynamic?: boolean }[];
    }[];
    redirects: Record<string, string>;
  };
  const bySpecifier = new Map(modules.map((module) => [module.specifier, module]));
  const seen = new Set<string>();
  const visit = (specifier: string) => {
    const at = redirects[specifier] ?? specifier;
    if (seen.has(at)) return;
    seen.add(at);
    for (const { code, isDynamic } of bySpecifier.get(at)?.dependencies ?? []) {
      if (code?.specifier && !isDynamic) visit(code.specifier);
    }
  };
  visit(url);
  return [...seen];
}

Deno.test("the room's face imports neither the AWS SDK nor other slow starters", async () => {
  const all = await importsOf("../../lib/credentials/mod.ts");
  assert.ok(all.some((specifier) => specifier.endsWith("/lib/credentials/sdk.ts")), all.join("\n"));
  const heavy = all.filter((specifier) =>
    /aws-sdk|smithy|levenshtein|node:crypto|node:http/.test(specifier)
  );
  assert.deepEqual(heavy, []);
});
