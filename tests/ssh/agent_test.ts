import assert from "node:assert/strict";
import fc from "fast-check";
import { isAwsocksError, writeAll } from "../../lib/core/mod.ts";
import { AgentMessage, parseIdentities } from "../../lib/ssh/agent.ts";
import { agentIdentities } from "../../lib/ssh/mod.ts";
import { concat, string, uint32, WireReader } from "../../lib/ssh/wire.ts";
import { fakeAgent, identitiesAnswer } from "./fake_agent.ts";
import { FakeClock, settle } from "../support/fake_clock.ts";

const windows = Deno.build.os === "windows";

const key = (type: string, fill = 1) => concat(string(type), string(new Uint8Array(32).fill(fill)));

function signAnswer(signature: Uint8Array): Uint8Array {
  const blob = concat(string("whatever"), string(signature));
  return string(concat([AgentMessage.SignResponse], string(blob)));
}

Deno.test(
  "agentIdentities() lists usable keys and reports the others",
  { ignore: windows },
  async () => {
    await using agent = await fakeAgent((type) => {
      assert.equal(type, AgentMessage.RequestIdentities);
      return identitiesAnswer(
        [key("ssh-ed25519"), "me@here"],
        [key("sk-ssh-ed25519@openssh.com"), "token"],
        [key("ssh-ed25519-cert-v01@openssh.com"), "certificate"],
        [new Uint8Array([1, 2]), "broken"],
        [key("ecdsa-sha2-nistp384"), ""],
      );
    });
    const unusable: string[] = [];
    const identities = await agentIdentities(agent.path, {}, (type) => unusable.push(type));
    assert.deepEqual(
      identities.map(({ source, label, keyType }) => ({ source, label, keyType })),
      [
        { source: "agent", label: "me@here", keyType: "ssh-ed25519" },
        { source: "agent", label: "ecdsa-sha2-nistp384", keyType: "ecdsa-sha2-nistp384" },
      ],
    );
    assert.deepEqual(unusable, [
      "sk-ssh-ed25519@openssh.com",
      "ssh-ed25519-cert-v01@openssh.com",
      "unreadable",
    ]);
  },
);

Deno.test("a key of the agent signs with the flags of the hash", { ignore: windows }, async () => {
  const requests: [Uint8Array, Uint8Array, number][] = [];
  const keys: [Uint8Array, string][] = [[key("ssh-rsa"), "rsa"], [key("ssh-ed25519"), "ed"]];
  await using agent = await fakeAgent((type, body) => {
    if (type === AgentMessage.RequestIdentities) return identitiesAnswer(...keys);
    const reader = new WireReader(body);
    requests.push([reader.string().slice(), reader.string().slice(), reader.uint32()]);
    assert.equal(reader.left, 0);
    return signAnswer(new Uint8Array([1, 2, 3]));
  });
  const [rsa, ed25519] = await agentIdentities(agent.path);
  const data = new Uint8Array([9, 9]);
  assert.deepEqual(await rsa!.sign(data, { hash: "sha256" }), new Uint8Array([1, 2, 3]));
  await rsa!.sign(data, { hash: "sha512" });
  await rsa!.sign(data, { hash: "sha1" });
  await ed25519!.sign(data);
  assert.deepEqual(requests.map(([blob, , flags]) => [blob[6], flags]), [
    [keys[0]![0][6], 2],
    [keys[0]![0][6], 4],
    [keys[0]![0][6], 0],
    [keys[1]![0][6], 0],
  ]);
  assert.deepEqual(requests[0]![1], data);
});

Deno.test("an agent that refuses, lies or hangs up is an error with its reason", {
  ignore: windows,
}, async () => {
  const cases: [Uint8Array | undefined, RegExp][] = [
    [string(new Uint8Array([AgentMessage.Failure])), /it refuses$/],
    [undefined, /it closed the connection$/],
    [new Uint8Array([0, 0]), /it closed the connection$/],
    [uint32(0), /its answer is malformed$/],
    [uint32(0x7fffffff), /its answer is malformed$/],
    [concat(uint32(100), [12, 0]), /its answer is cut short$/],
    [string(new Uint8Array([99])), /it answers with message 99$/],
  ];
  for (const [answer, message] of cases) {
    await using agent = await closingAgent(answer);
    await assert.rejects(agentIdentities(agent.path), (error) => {
      assert.ok(isAwsocksError(error, "ssh-key-missing"), `${error}`);
      assert.match(error.message, message);
      return true;
    });
  }
});

/** An agent that writes these bytes and hangs up. */
async function closingAgent(answer: Uint8Array | undefined) {
  const dir = await Deno.makeTempDir();
  const path = `${dir}/agent`;
  const listener = Deno.listen({ transport: "unix", path });
  const serving = (async () => {
    for await (const conn of listener) {
      await conn.read(new Uint8Array(100));
      if (answer) await writeAll(conn, answer);
      conn.close();
    }
  })();
  return {
    path,
    async [Symbol.asyncDispose]() {
      listener.close();
      await serving;
      await Deno.remove(dir, { recursive: true });
    },
  };
}

Deno.test("a key that the agent does not sign with says so", { ignore: windows }, async () => {
  await using agent = await fakeAgent((type) =>
    type === AgentMessage.RequestIdentities
      ? identitiesAnswer([key("ssh-ed25519"), "yubi"])
      : string(new Uint8Array([AgentMessage.Failure]))
  );
  const [identity] = await agentIdentities(agent.path);
  await assert.rejects(identity!.sign(new Uint8Array(1)), (error) => {
    assert.ok(isAwsocksError(error, "ssh-key-invalid"));
    assert.equal(error.message, "The ssh-agent does not sign with yubi: it refuses");
    return true;
  });
});

Deno.test("no agent at the path is an error with its reason", { ignore: windows }, async () => {
  const dir = await Deno.makeTempDir();
  await assert.rejects(
    agentIdentities(`${dir}/none`),
    (error) => isAwsocksError(error, "ssh-key-missing"),
  );
  await Deno.remove(dir);
});

Deno.test("an agent that does not answer is given up", { ignore: windows }, async () => {
  const asked = Promise.withResolvers<void>();
  const release = Promise.withResolvers<undefined>();
  await using agent = await fakeAgent(() => {
    asked.resolve();
    return release.promise;
  });
  const clock = new FakeClock();
  const listing = assert.rejects(agentIdentities(agent.path, { clock }), (error) => {
    assert.ok(isAwsocksError(error, "ssh-key-missing"));
    assert.match(error.message, /no answer within 5 s$/);
    return true;
  });
  await asked.promise;
  await clock.advance(5_000);
  await listing;
  release.resolve(undefined);
});

Deno.test("signing with an agent ends with its signal", { ignore: windows }, async () => {
  const asked = Promise.withResolvers<void>();
  const release = Promise.withResolvers<undefined>();
  await using agent = await fakeAgent((type) => {
    if (type === AgentMessage.RequestIdentities) {
      return identitiesAnswer([key("ssh-ed25519"), "k"]);
    }
    asked.resolve();
    return release.promise;
  });
  const [identity] = await agentIdentities(agent.path);
  const controller = new AbortController();
  const signing = assert.rejects(
    identity!.sign(new Uint8Array(1), { signal: controller.signal }),
    /enough/,
  );
  await asked.promise;
  controller.abort(new Error("enough"));
  await signing;
  release.resolve(undefined);
  await settle();
});

Deno.test("parseIdentities() reads back lists, refuses truncated ones, survives random bytes", () => {
  const list = fc.array(fc.tuple(fc.uint8Array({ maxLength: 60 }), fc.string({ maxLength: 20 })), {
    maxLength: 5,
  });
  fc.assert(fc.property(list, fc.nat(), (keys, cut) => {
    const body = identitiesAnswer(...keys).subarray(5);
    const parsed = parseIdentities(body);
    assert.deepEqual(
      parsed.map(({ publicKey, comment }) => [publicKey, comment]),
      keys.map(([blob, comment]) => [blob, comment.toWellFormed()]),
    );
    const length = cut % body.byteLength;
    assert.throws(() => parseIdentities(body.subarray(0, length)), RangeError);
  }));
  fc.assert(fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
    try {
      parseIdentities(bytes);
    } catch (error) {
      assert.ok(error instanceof RangeError);
    }
  }));
});
