/**
 * Changes of the files while credentials are in use.
 */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import type { Credentials } from "../../lib/core/mod.ts";
import type { Attempt } from "../../lib/credentials/loader.ts";
import { type CredentialManager, RefreshingCredentials } from "../../lib/credentials/manager.ts";
import { createCredentials } from "../../lib/credentials/mod.ts";
import { QUIET_MS } from "../../lib/credentials/watcher.ts";
import { FakeClock, settle } from "../support/fake_clock.ts";
import { inAnHour, loadInChild, Peer, ssoPortal } from "./support/peers.ts";
import { afterQuiet, eventually, keys, TempHome } from "./support/temp.ts";

/** Credentials of a profile in a temporary home, with what they told their receivers. */
class Session implements AsyncDisposable {
  readonly clock = new FakeClock();
  readonly updates: string[] = [];
  readonly manager: CredentialManager;

  constructor(home: TempHome, profile: string) {
    const { clock } = this;
    this.manager = createCredentials({ profile, clock, env: home.env(), home: home.path });
    this.manager.onUpdate(({ accessKeyId }) => this.updates.push(accessKeyId));
  }

  async load(): Promise<Credentials> {
    await this.manager.start();
    return await this.manager.source();
  }

  /** Waits until a change has been noticed, and lets the quiet time pass. */
  async noticed(): Promise<void> {
    await eventually("event", () => (this.clock.nextIn ?? Infinity) <= QUIET_MS);
    await this.clock.advance(QUIET_MS);
  }

  async updated(to: string): Promise<void> {
    await afterQuiet(this.clock, `update to ${to}`, () => this.updates.at(-1) === to);
    assert.equal((await this.manager.source()).accessKeyId, to);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.manager.close();
    await settle();
  }
}

Deno.test("a credentials file replaced atomically is read again, more than once", async () => {
  await using home = await TempHome.create({ ".aws/credentials": keys("dev", "AKID1") });
  await using session = new Session(home, "dev");
  assert.equal((await session.load()).accessKeyId, "AKID1");
  await home.replace(".aws/credentials", keys("dev", "AKID2"));
  await session.updated("AKID2");
  await home.replace(".aws/credentials", keys("dev", "AKID3"));
  await session.updated("AKID3");
  assert.deepEqual(session.updates, ["AKID1", "AKID2", "AKID3"]);
});

Deno.test("refresh() reads the file although nothing was noticed", async () => {
  await using home = await TempHome.create({ ".aws/credentials": keys("dev", "AKID1") });
  await using session = new Session(home, "dev");
  await session.load();
  await home.replace(".aws/credentials", keys("dev", "AKID2"));
  assert.equal((await session.manager.refresh()).accessKeyId, "AKID2");
});

Deno.test("files that did not exist are seen, after a load that found nothing", async () => {
  await using home = await TempHome.create();
  await using session = new Session(home, "dev");
  await assert.rejects(session.load(), { code: "credentials-missing" });
  await home.write(".aws/credentials", keys("dev", "AKID1"));
  await session.updated("AKID1");
});

Deno.test("a change before the first request loads nothing", async () => {
  await using home = await TempHome.create({ ".aws/credentials": keys("dev", "AKID1") });
  await using session = new Session(home, "dev");
  await session.manager.start();
  await home.replace(".aws/credentials", keys("dev", "AKID2"));
  await session.noticed();
  assert.deepEqual(session.updates, []);
  assert.equal((await session.load()).accessKeyId, "AKID2");
});

Deno.test("a change of other profiles asks the source of this one no more", async () => {
  await using home = await TempHome.create();
  const output = JSON.stringify({ Version: 1, AccessKeyId: "AKIDP", SecretAccessKey: "x" });
  const runs = home.at("runs");
  const process = `[profile p]\ncredential_process = echo run >> ${runs}; echo '${output}'\n`;
  await home.write(".aws/config", process);
  await using session = new Session(home, "p");
  await session.load();
  await home.replace(".aws/config", process + keys("profile other", "AKIDO"));
  await session.noticed();
  // The answer to the change has been given when a later change has been answered.
  await home.replace(".aws/config", `${process}region = eu-west-1\n`);
  await afterQuiet(
    session.clock,
    "second run",
    () => Deno.readTextFileSync(runs) === "run\nrun\n",
  );
  assert.deepEqual(session.updates, ["AKIDP"]);
});

Deno.test("a token that the load itself rewrites is no reason to load again", async () => {
  await using home = await TempHome.create({ token: "1" });
  const clock = new FakeClock();
  let loads = 0;
  let token = "old";
  const attempt: Attempt = {
    fields: { source: "test" },
    interactive: false,
    limit: 60_000,
    settings: "",
    token: () => Promise.resolve(token),
    load: async () => {
      token = `refreshed by load ${++loads}`;
      await home.write("token", token);
      return { accessKeyId: `key-${loads}`, secretAccessKey: "x" };
    },
  };
  let looks = 0;
  await using manager = new RefreshingCredentials({
    prepare: () => Promise.resolve({ ...attempt, token: () => (looks++, attempt.token()) }),
    clock,
    watch: [{ path: home.at("token") }],
  });
  await manager.start();
  await manager.source();
  const seen = looks;
  await afterQuiet(clock, "look at the token after the change", () => looks > seen);
  await settle();
  assert.equal(loads, 1);
  token = "written by a login";
  await home.write("token", token);
  await afterQuiet(clock, "second load", () => loads === 2);
});

Deno.test("a login by SSO is picked up while the program runs", async () => {
  await using server = new Peer(ssoPortal("good", "AKIDSSO"));
  await using home = await TempHome.create({
    ".aws/config": "[profile dev]\nsso_session = org\nsso_account_id = 123456789012\n" +
      "sso_role_name = Dev\n[sso-session org]\nsso_region = eu-west-3\nsso_start_url = https://o\n",
  });
  const name = createHash("sha1").update("org").digest("hex");
  const outcome = await loadInChild(home.env(), {
    profile: "dev",
    peer: server.url,
    login: {
      path: home.at(`.aws/sso/cache/${name}.json`),
      text: JSON.stringify({ accessToken: "good", expiresAt: inAnHour() }),
    },
  });
  assert.equal(outcome.credentials?.accessKeyId, "AKIDSSO");
  assert.equal(server.seen.length, 1);
});
