/**
 * Debian's Chromium through `awsocks start`, set up as the README says.
 *
 * @module
 */

import assert from "node:assert/strict";
import { PAGE_TEXT } from "../../lib/sandbox/mod.ts";
import { chromium, withBrowserFolder } from "../support/chromium.ts";
import { interopTest, need } from "../support/external.ts";
import { startProgram } from "../support/program.ts";

const PAGE = "http://hello.sandbox.internal/";

/** Width and height of a PNG image, from its first chunk. */
function pngSize(image: Uint8Array): [width: number, height: number] {
  assert.equal(new TextDecoder("latin1").decode(image.subarray(1, 4)), "PNG");
  const view = new DataView(image.buffer, image.byteOffset);
  return [view.getUint32(16), view.getUint32(20)];
}

interopTest("Chromium loads the private page through SOCKS5", [need("chromium")], async () => {
  await withBrowserFolder(async (folder) => {
    const args = ["start", "--sandbox", "-l", "127.0.0.1:0"];
    await using program = startProgram(args, { limit: 300_000 });
    // The very line that the program suggests.
    const [, proxy] = await program.saw(/chromium (--proxy-server=socks5:\/\/\S+)/);
    const { code, stdout, stderr } = await chromium(folder, [proxy!, "--dump-dom", PAGE]);
    assert.equal(code, 0, stderr);
    assert.ok(stdout.includes(`<h1>${PAGE_TEXT}</h1>`), `${stdout}\n${stderr}`);

    // A production name shows the copy inside: the name is resolved there.
    const copy = await chromium(folder, [proxy!, "--dump-dom", "http://www.example.com/"]);
    assert.ok(copy.stdout.includes("the staging copy of www.example.com"), copy.stdout);

    const file = `${folder}/page.png`;
    await chromium(folder, [proxy!, "--window-size=800,600", `--screenshot=${file}`, PAGE]);
    assert.deepEqual(pngSize(await Deno.readFile(file)), [800, 600]);

    const ended = await program.stop();
    assert.equal(ended.code, 0, ended.stderr);
    assert.doesNotMatch(ended.stderr, /ERROR|Uncaught/);
  });
});
