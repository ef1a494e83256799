/** What the host tells its guest, and what it does for it. */

import assert from "node:assert/strict";
import { guestConfigOf } from "../../lib/backend/guest_config.ts";
import { checkLogin, createGuestServices } from "../../lib/backend/guest_services.ts";
import type { AwsBackendSettings, BackendPrompts } from "../../lib/backend/mod.ts";
import { type Credentials, systemClock } from "../../lib/core/mod.ts";
import { fixedCredentials } from "../../lib/credentials/mod.ts";
import { identityFromText, loadSsh2 } from "../../lib/ssh/mod.ts";
import { concat, string, uint32 } from "../../lib/ssh/wire.ts";
import { CREDENTIALS } from "../protocol/pair.ts";
import { newEd25519 } from "../ssh/new_key.ts";

const SETTINGS: AwsBackendSettings = {
  instanceId: "i-0123456789abcdef0",
  sshUser: "ec2-user",
  remotePort: 22,
  autoStart: false,
  autoStop: false,
  compression: true,
  connectTimeout: 30,
  endpoints: {},
};

const utf8 = (text: string) => new TextEncoder().encode(text);

/** What a client signs to log in; RFC 4252 section 7. */
function loginRequest(user: string, { message = 50, service = "ssh-connection" } = {}): Uint8Array {
  return concat(
    string(new Uint8Array(32)),
    [message],
    string(utf8(user)),
    string(utf8(service)),
    string(utf8("publickey")),
    [1],
    string(utf8("ssh-ed25519")),
    string(new Uint8Array(51)),
  );
}

async function withHome(work: (home: string) => Promise<void>): Promise<void> {
  const home = await Deno.makeTempDir();
  try {
    await work(home);
  } finally {
    await Deno.remove(home, { recursive: true });
  }
}

function servicesFor(home: string, own: { prompts?: BackendPrompts; sshKey?: string } = {}) {
  const given: Credentials[] = [];
  const services = createGuestServices({
    settings: own.sshKey === undefined ? SETTINGS : { ...SETTINGS, sshKey: own.sshKey },
    credentials: fixedCredentials(CREDENTIALS),
    prompts: own.prompts ?? {},
    env: {},
    home,
    clock: systemClock,
    onCredentials: (credentials) => given.push(credentials),
  });
  return { services, given };
}

async function makeKey(home: string): Promise<string> {
  const { ssh2 } = await loadSsh2();
  const path = `${home}/key`;
  const { private: pem } = newEd25519(ssh2);
  await Deno.writeTextFile(path, pem, { mode: 0o600 });
  return path;
}

Deno.test("the configuration holds what the guest needs and no secret of the host", async () => {
  await withHome(async (home) => {
    const bundle = `${home}/ca.pem`;
    await Deno.writeTextFile(bundle, "certificates");
    const config = await guestConfigOf({
      settings: {
        ...SETTINGS,
        sshKey: `${home}/key`,
        backend: "auto",
        maxSessions: 4,
        sshKeyPassphrase: "hunter2",
        knownHosts: `${home}/known_hosts`,
        endpoints: { ssm: "http://localhost:1" },
      },
      region: "eu-central-1",
      env: {
        HTTPS_PROXY: "http://proxy:3128",
        no_proxy: "localhost",
        AWS_ENDPOINT_URL: "http://localhost:2",
        AWS_ENDPOINT_URL_SSM: "http://localhost:3",
        AWS_CA_BUNDLE: bundle,
        AWS_SECRET_ACCESS_KEY: "secret",
        AWS_SESSION_TOKEN: "token",
        SSH_AUTH_SOCK: "/run/agent",
        HOME: home,
        ALL_PROXY: "",
        MY_HTTPS_PROXY: "x",
      },
      canChoose: true,
    });
    assert.deepEqual(config, {
      version: 1,
      region: "eu-central-1",
      instanceId: SETTINGS.instanceId,
      sshUser: "ec2-user",
      login: "key",
      backend: "auto",
      maxSessions: 4,
      remotePort: 22,
      autoStart: false,
      autoStop: false,
      compression: true,
      connectTimeout: 30,
      endpoints: { ssm: "http://localhost:1" },
      env: {
        HTTPS_PROXY: "http://proxy:3128",
        no_proxy: "localhost",
        AWS_ENDPOINT_URL: "http://localhost:2",
        AWS_ENDPOINT_URL_SSM: "http://localhost:3",
      },
      caBundle: "certificates",
      canChoose: true,
    });
  });
});

Deno.test("a bundle of certificates that cannot be read is said with its path", async () => {
  const options = {
    settings: SETTINGS,
    region: "eu-central-1",
    env: { AWS_CA_BUNDLE: "/nowhere/ca.pem" },
    canChoose: false,
  };
  await assert.rejects(guestConfigOf(options), {
    code: "config-unreadable",
    message: "Could not read AWS_CA_BUNDLE /nowhere/ca.pem",
  });
});

Deno.test("only logins of the configured user are signed", () => {
  checkLogin(loginRequest("ec2-user"), "ec2-user");
  const refused = [
    loginRequest("root"),
    loginRequest("ec2-user", { message: 51 }),
    loginRequest("ec2-user", { service: "ssh-userauth" }),
    utf8("a commit to be signed"),
    new Uint8Array(0),
    concat(uint32(0xffff_ffff)),
  ];
  for (const data of refused) {
    assert.throws(() => checkLogin(data, "ec2-user"), { code: "ssh-key-invalid" });
  }
});

Deno.test("the guest learns public keys, and gets signatures of those it was told of", async () => {
  await withHome(async (home) => {
    const path = await makeKey(home);
    const { services } = servicesFor(home, { sshKey: path });
    const data = loginRequest("ec2-user").toBase64();
    await assert.rejects(services.sign({ publicKey: "AAAA", data }, {}), {
      code: "ssh-key-missing",
    });
    const [key] = await services.identities(undefined, {});
    assert.deepEqual([key?.source, key?.label], ["file", path]);
    const signature = await services.sign({ publicKey: key!.publicKey, data }, {});
    // ed25519 has one signature for each message.
    const identity = await identityFromText(await Deno.readTextFile(path), path);
    const expected = await identity.sign(loginRequest("ec2-user"));
    assert.equal(signature, expected.toBase64());
    const other = utf8("something else").toBase64();
    await assert.rejects(services.sign({ publicKey: key!.publicKey, data: other }, {}), {
      code: "ssh-key-invalid",
    });
    await assert.rejects(services.sign({ publicKey: key!.publicKey, data: "*" }, {}), {
      code: "tunnel-protocol-error",
    });
  });
});

Deno.test("a host without a key says so", async () => {
  await withHome(async (home) => {
    const { services } = servicesFor(home);
    await assert.rejects(services.identities(undefined, {}), { code: "ssh-key-missing" });
  });
});

Deno.test("host keys are looked up and recorded in the host's files", async () => {
  await withHome(async (home) => {
    const { services } = servicesFor(home);
    const server = { instanceId: "i-0123456789abcdef0", port: 22 };
    const identity = await identityFromText(await Deno.readTextFile(await makeKey(home)), "key");
    const publicKey = identity.publicKey.toBase64();
    assert.deepEqual(await services.hostKeyTypes(server, {}), []);
    await services.hostKey({ ...server, publicKey, remember: false }, {});
    assert.deepEqual(await services.hostKeyTypes(server, {}), []);
    await services.hostKey({ ...server, publicKey, remember: true }, {});
    assert.deepEqual(await services.hostKeyTypes(server, {}), ["ssh-ed25519"]);
    const file = await Deno.readTextFile(`${home}/.local/state/awsocks/known_hosts`);
    assert.equal(file, `${server.instanceId} ssh-ed25519 ${publicKey}\n`);
    await makeKey(home);
    const other = await identityFromText(await Deno.readTextFile(`${home}/key`), "key");
    await assert.rejects(
      services.hostKey({ ...server, publicKey: other.publicKey.toBase64(), remember: false }, {}),
      { code: "ssh-host-key-changed" },
    );
    await assert.rejects(services.hostKey({ ...server, publicKey: "AAAA", remember: true }, {}), {
      code: "tunnel-protocol-error",
    });
  });
});

Deno.test("credentials that the guest gets are kept for the next one", async () => {
  const { services, given } = servicesFor("/nowhere");
  assert.deepEqual(await services.credentials({ refresh: false }, {}), CREDENTIALS);
  await services.credentials({ refresh: true }, {});
  assert.deepEqual(given, [CREDENTIALS, CREDENTIALS]);
});

Deno.test("the user picks an instance, where there is a user", async () => {
  const choices = [{ id: "i-1", state: "running", name: "a" }, { id: "i-2", state: "stopped" }];
  const { services } = servicesFor("/nowhere", {
    prompts: { chooseInstance: (instances) => Promise.resolve(instances[1]!) },
  });
  assert.equal(await services.chooseInstance(choices, {}), "i-2");
  await assert.rejects(servicesFor("/nowhere").services.chooseInstance(choices, {}), {
    code: "instance-ambiguous",
  });
});
