import assert from "node:assert/strict";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { isAwsocksError } from "../../lib/core/mod.ts";
import { STARTER } from "../../lib/config/mod.ts";
import { parseConfig } from "../../lib/config/parse.ts";

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

const SAMPLE = `# A file with something of everything
[defaults]
ssh-user = "ec2-user"
lazy = true
remote-port = 22
[profiles.staging]
name = "bastion-*"
routing.proxy = ["*.internal", "10.0.0.0/8", '''a.example''']
[profiles.staging.endpoints]
ssm = "https://ssm.example"
[profiles."with space"]
instance-id = "i-0123456789abcdef0"
routing = { default = "direct", block = ["x.example:443"] }
`;

/** Numbers that repeat: multiplicative congruential, as in Park and Miller. */
function random(seed: number): (limit: number) => number {
  let state = seed;
  return (limit) => (state = state * 48271 % 2147483647) % limit;
}

/** Parses; true if it is a configuration, false for a proper error. */
function understands(text: string): boolean {
  try {
    parseConfig(text, { path: "config.toml" });
    return true;
  } catch (error) {
    assert.ok(isAwsocksError(error, "config-invalid"), `${error} for ${JSON.stringify(text)}`);
    for (const line of error.message.split("\n")) assert.match(line, /^config\.toml:\d+:\d+: /);
    return false;
  }
}

Deno.test("100,000 random and truncated files: a configuration or an error each, no growth", () => {
  for (const text of [SAMPLE, STARTER]) assert.ok(understands(text), "valid as it is");
  const int = random(20250101);
  const alphabet = "abz-_.=[]{}\"'#,: \n\\09é\0";
  collectGarbage();
  const before = Deno.memoryUsage().heapUsed;
  let understood = 0;
  for (let i = 0; i < 100_000; i++) {
    let text = "";
    if (i % 4 === 0) {
      for (let n = int(40); n > 0; n--) text += alphabet[int(alphabet.length)];
    } else {
      // A piece of the sample, cut anywhere, with up to two characters changed.
      const start = i % 4 === 1 ? 0 : int(SAMPLE.length);
      text = SAMPLE.slice(start, start + int(120));
      for (let n = int(3); n > 0 && text.length > 0; n--) {
        const at = int(text.length);
        text = text.slice(0, at) + alphabet[int(alphabet.length)] + text.slice(at + 1);
      }
    }
    if (understands(text)) understood++;
  }
  assert.ok(understood < 60_000, `${understood} were understood`);
  collectGarbage();
  const growth = Deno.memoryUsage().heapUsed - before;
  assert.ok(growth < 4 * 2 ** 20, `the heap grew by ${growth} bytes`);
});
