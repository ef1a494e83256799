import assert from "node:assert/strict";
import fc from "fast-check";
import { headerName, parseIni } from "../../lib/credentials/ini.ts";

function plain(text: string): Record<string, Record<string, string>> {
  return Object.fromEntries(
    [...parseIni(text)].map(([name, section]) => [name, Object.fromEntries(section)]),
  );
}

Deno.test("parseIni() reads sections, keys and values", () => {
  assert.deepEqual(
    plain("[default]\nregion = eu-central-1\noutput=json\n\n[profile dev]\nregion=us-east-1\n"),
    {
      default: { region: "eu-central-1", output: "json" },
      "profile dev": { region: "us-east-1" },
    },
  );
});

Deno.test("parseIni() takes CRLF, a byte order mark and values that contain an equals sign", () => {
  assert.deepEqual(plain("\uFEFF[a]\r\nkey = x==\r\n"), { a: { key: "x==" } });
});

Deno.test("parseIni() drops comments, but not a # inside a value", () => {
  assert.deepEqual(plain("# c\n[a] ; c\n; c\nx = 1 # c\ny = a#b\n  # c\n"), {
    a: { x: "1", y: "a#b" },
  });
});

Deno.test("parseIni() skips sub-sections and returns from them", () => {
  assert.deepEqual(plain("[a]\ns3 =\n  region = no\n  x = no\nregion = yes\n"), {
    a: { region: "yes" },
  });
});

Deno.test("parseIni() merges sections of the same name, the last value counts", () => {
  assert.deepEqual(plain("[a]\nx=1\ny=1\n[b]\n[a]\nx=2\n"), { a: { x: "2", y: "1" }, b: {} });
});

Deno.test("parseIni() passes over what is outside sections or makes no sense", () => {
  assert.deepEqual(plain("x=1\n[a\n[b]\n=v\nword\n[]\nz=1\n"), { b: {}, "": { z: "1" } });
});

Deno.test("parseIni() takes names that mean something to JavaScript as names", () => {
  assert.equal(
    parseIni("[__proto__]\nconstructor = x\n").get("__proto__")?.get("constructor"),
    "x",
  );
});

Deno.test("headerName() finds plain and quoted names of its kind", () => {
  assert.equal(headerName("profile dev", "profile"), "dev");
  assert.equal(headerName('profile "my dev"', "profile"), "my dev");
  assert.equal(headerName("profile   'x'", "profile"), "x");
  assert.equal(headerName("sso-session org", "profile"), undefined);
  assert.equal(headerName("dev", "profile"), undefined);
  assert.equal(headerName("profile", "profile"), undefined);
});

const word = fc.stringMatching(/^[a-z][a-z0-9_./+-]{0,12}$/);
const value = fc.stringMatching(/^[A-Za-z0-9/+=:._-]{1,40}$/);

Deno.test("parseIni() reads back what was written", () => {
  const file = fc.dictionary(word, fc.dictionary(word, value, { noNullPrototype: true }), {
    noNullPrototype: true,
  });
  fc.assert(fc.property(file, fc.constantFrom("\n", "\r\n"), (sections, end) => {
    const text = Object.entries(sections)
      .map(([name, section]) =>
        [`[${name}]`, ...Object.entries(section).map(([key, value]) => `${key} = ${value}`)]
          .join(end)
      ).join(end + end);
    assert.deepEqual(plain(text), sections);
  }));
});

Deno.test("parseIni() survives any text and any truncation of it", () => {
  const piece = fc.constantFrom("[", "]", "=", "\n", "\r", "#", ";", " ", "\t", "a", "profile", "");
  fc.assert(fc.property(fc.array(fc.oneof(piece, fc.string())), (pieces) => {
    const text = pieces.join("");
    for (let end = 0; end <= text.length; end++) {
      for (const section of parseIni(text.slice(0, end)).values()) {
        for (const [key, value] of section) {
          assert.notEqual(key, "");
          assert.notEqual(value, "");
        }
      }
    }
  }));
});
