import assert from "node:assert/strict";
import { isAwsocksError } from "../../lib/core/mod.ts";
import { findIdentities, type Identity, loadSsh2 } from "../../lib/ssh/mod.ts";
import { fakeAgent, identitiesAnswer } from "./fake_agent.ts";
import { newEd25519 } from "./new_key.ts";

const windows = Deno.build.os === "windows";
const { ssh2 } = await loadSsh2();

interface TestKey {
  readonly text: string;
  readonly publicKey: Uint8Array;
}

function makeKey(passphrase?: string): TestKey {
  const { private: text, public: line } = newEd25519(
    ssh2,
    passphrase === undefined ? {} : { passphrase, cipher: "aes256-ctr", rounds: 1 },
  );
  return { text, publicKey: Uint8Array.fromBase64(line.split(" ")[1]!) };
}

/** A home directory with these files in `.ssh`. */
async function home(files: Record<string, string>) {
  const path = await Deno.makeTempDir();
  await Deno.mkdir(`${path}/.ssh`);
  for (const [name, text] of Object.entries(files)) {
    await Deno.writeTextFile(`${path}/.ssh/${name}`, text, { mode: 0o600 });
  }
  return { path, [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }) };
}

const agentWith = (...keys: TestKey[]) =>
  fakeAgent(() => identitiesAnswer(...keys.map((key) => [key.publicKey, "held"] as const)));

const names = (identities: Identity[]) =>
  identities.map(({ source, label }) => source === "agent" ? "agent" : label.split("/").pop());

Deno.test("findIdentities() finds the usual files, best first", async () => {
  await using it = await home({
    "id_rsa": makeKey().text,
    "id_ed25519": makeKey().text,
    "id_ecdsa": makeKey().text,
    "id_other": makeKey().text,
  });
  assert.deepEqual(names(await findIdentities({ home: it.path })), [
    "id_ed25519",
    "id_ecdsa",
    "id_rsa",
  ]);
});

Deno.test("findIdentities() asks for no passphrase", async () => {
  await using it = await home({ id_ed25519: makeKey("secret").text, id_rsa: makeKey().text });
  const askPassphrase = () => assert.fail("asked");
  const found = await findIdentities({ home: it.path, askPassphrase });
  assert.deepEqual(names(found), ["id_ed25519", "id_rsa"]);
});

Deno.test("findIdentities() passes over files that are no keys", async () => {
  await using it = await home({ id_ed25519: "not a key", id_rsa: makeKey().text });
  assert.deepEqual(names(await findIdentities({ home: it.path })), ["id_rsa"]);
});

Deno.test(
  "findIdentities() takes the agent first, and each key once",
  { ignore: windows },
  async () => {
    const [both, onlyAgent, onlyFile] = [makeKey("secret"), makeKey(), makeKey()];
    await using it = await home({ id_ed25519: onlyFile.text, id_rsa: both.text });
    await using agent = await agentWith(onlyAgent, both);
    const found = await findIdentities({ home: it.path, agentSocket: agent.path });
    assert.deepEqual(names(found), ["agent", "agent", "id_ed25519"]);
    assert.deepEqual(found.map((each) => each.publicKey), [
      both.publicKey, // it is in ~/.ssh too, so it is more likely the right one
      onlyAgent.publicKey,
      onlyFile.publicKey,
    ]);
  },
);

Deno.test("findIdentities() goes on without an agent that is not there", async () => {
  await using it = await home({ id_rsa: makeKey().text });
  const agentSocket = `${it.path}/none`;
  assert.deepEqual(names(await findIdentities({ home: it.path, agentSocket })), ["id_rsa"]);
});

Deno.test("findIdentities() says where it looked when it finds nothing", async () => {
  await using it = await home({});
  const message = async (options: Parameters<typeof findIdentities>[0]) => {
    const error: unknown = await findIdentities(options).then(() => undefined, (e) => e);
    assert.ok(isAwsocksError(error, "ssh-key-missing"), `${error}`);
    return error.message;
  };
  const files = `none of id_ed25519, id_ecdsa, id_rsa in ${it.path}/.ssh`;
  assert.equal(
    await message({ home: it.path }),
    `No SSH key found: no ssh-agent (SSH_AUTH_SOCK), ${files}`,
  );
  assert.equal(
    await message({ home: it.path, agentSocket: `${it.path}/none` }),
    `No SSH key found: no usable key in the ssh-agent, ${files}`,
  );
  assert.match(await message({}), /no home directory$/);
});

Deno.test("findIdentities() tries only the key that was named", { ignore: windows }, async () => {
  const named = makeKey();
  await using it = await home({ id_rsa: makeKey().text, named: named.text });
  await using agent = await agentWith(makeKey(), named);
  const explicit = `${it.path}/.ssh/named`;
  const found = await findIdentities({ home: it.path, explicit, agentSocket: agent.path });
  assert.deepEqual(names(found), ["named"]);
  await assert.rejects(
    findIdentities({ home: it.path, explicit: `${explicit}-not`, agentSocket: agent.path }),
    (error) => isAwsocksError(error, "ssh-key-missing") && error.message.includes("named-not"),
  );
});

Deno.test(
  "findIdentities() lets the agent open a named key that is encrypted",
  { ignore: windows },
  async () => {
    const named = makeKey("secret");
    await using it = await home({ named: named.text });
    const explicit = `${it.path}/.ssh/named`;
    await using agent = await agentWith(makeKey(), named);
    const askPassphrase = () => assert.fail("asked");
    const held = await findIdentities({ explicit, agentSocket: agent.path, askPassphrase });
    assert.deepEqual(names(held), ["agent"]);
    assert.deepEqual(held[0]!.publicKey, named.publicKey);
    // With a passphrase at hand there is no need for the agent.
    const options = { explicit, agentSocket: agent.path, passphrase: "secret" };
    assert.deepEqual(names(await findIdentities(options)), ["named"]);
  },
);

Deno.test("findIdentities() opens a named key before any connection is made", async () => {
  await using it = await home({ named: makeKey("secret").text });
  const explicit = `${it.path}/.ssh/named`;
  let asked = 0;
  const askPassphrase = () => Promise.resolve(++asked > 1 ? "secret" : "typo");
  assert.deepEqual(names(await findIdentities({ explicit, askPassphrase })), ["named"]);
  assert.equal(asked, 2);
  await assert.rejects(
    findIdentities({ explicit }),
    (error) => isAwsocksError(error, "ssh-key-passphrase"),
  );
});
