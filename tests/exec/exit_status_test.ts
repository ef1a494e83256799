import assert from "node:assert/strict";
import fc from "fast-check";
import { isAwsocksError } from "../../lib/core/mod.ts";
import { decodeExitStatus, encodeExitStatus, exitCodeOf } from "../../lib/exec/exit_status.ts";

const status = fc.integer({ min: 0, max: 255 });

function littleEndian(value: number, bytes: number): Uint8Array {
  return Uint8Array.from({ length: bytes }, (_, i) => Math.floor(value / 256 ** i) % 256);
}

Deno.test("encodeExitStatus() writes four bytes, little-endian and signed", () => {
  assert.deepEqual([...encodeExitStatus(0)], [0, 0, 0, 0]);
  assert.deepEqual([...encodeExitStatus(137)], [137, 0, 0, 0]);
  assert.deepEqual([...encodeExitStatus(-1)], [255, 255, 255, 255]);
});

Deno.test("decodeExitStatus() reads what encodeExitStatus() writes", () => {
  fc.assert(fc.property(fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }), (value) => {
    const data = encodeExitStatus(value);
    // Four bytes that are all digits or blanks are text; no status of a process is that large.
    fc.pre(!/^\s*-?\d+\s*$/.test(String.fromCharCode(...data)));
    assert.equal(decodeExitStatus(data), value);
  }));
});

Deno.test("decodeExitStatus() reads every status in every form in use", () => {
  fc.assert(fc.property(status, (value) => {
    for (const bytes of [2, 4, 8]) {
      assert.equal(decodeExitStatus(littleEndian(value, bytes)), value);
    }
    for (const text of [`${value}`, `${value}\n`, ` ${value}\r\n`]) {
      assert.equal(decodeExitStatus(new TextEncoder().encode(text)), value);
    }
    const isDigit = value >= 0x30 && value <= 0x39;
    assert.equal(decodeExitStatus(new Uint8Array([value])), isDigit ? value - 0x30 : value);
  }));
  assert.equal(decodeExitStatus(new Uint8Array(0)), 0);
  assert.equal(decodeExitStatus(new TextEncoder().encode("-1")), -1);
});

Deno.test("decodeExitStatus() refuses what is none, and only that", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 40 }), (data) => {
    try {
      assert.ok(Number.isInteger(decodeExitStatus(data)));
    } catch (error) {
      assert.ok(isAwsocksError(error, "exec-protocol-error"));
      assert.ok(![0, 1, 2, 4, 8].includes(data.byteLength));
    }
  }));
});

Deno.test("exitCodeOf() never makes a success of a failure", () => {
  fc.assert(fc.property(fc.integer(), (value) => {
    const code = exitCodeOf(value);
    assert.ok(code >= 0 && code <= 255);
    assert.equal(code === 0, value === 0);
    if (value >= 0 && value <= 255) assert.equal(code, value);
  }));
  assert.equal(exitCodeOf(-1), 255);
  assert.equal(exitCodeOf(256), 1);
});
