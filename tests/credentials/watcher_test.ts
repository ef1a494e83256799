import assert from "node:assert/strict";
import { FakeClock } from "../support/fake_clock.ts";
import { FileWatcher, QUIET_MS } from "../../lib/credentials/watcher.ts";
import { type Watched, watchPoints } from "../../lib/credentials/watch_points.ts";
import { eventually, TempHome } from "./support/temp.ts";

async function points(home: TempHome, ...paths: Watched[]): Promise<Record<string, unknown>> {
  const found = await watchPoints(paths.map((one) => ({ ...one, path: home.at(one.path) })));
  return Object.fromEntries(
    [...found].map(([directory, names]) => [
      directory.slice(home.path.length) || "/",
      names === "all" ? names : [...names].sort(),
    ]),
  );
}

Deno.test("watchPoints() names the directory of a file and the name in it", async () => {
  await using home = await TempHome.create({ ".aws/config": "", ".aws/credentials": "" });
  assert.deepEqual(await points(home, { path: ".aws/config" }, { path: ".aws/credentials" }), {
    "/.aws": ["config", "credentials"],
  });
});

Deno.test("watchPoints() waits for what is missing in the nearest existing directory", async () => {
  await using home = await TempHome.create();
  const cache = { path: ".aws/sso/cache", directory: true };
  assert.deepEqual(await points(home, cache), { "/": [".aws"] });
  await Deno.mkdir(home.at(".aws"));
  assert.deepEqual(await points(home, cache, { path: ".aws/config" }), {
    "/.aws": ["config", "sso"],
  });
  await Deno.mkdir(home.at(".aws/sso/cache"), { recursive: true });
  assert.deepEqual(await points(home, cache), { "/.aws/sso/cache": "all" });
});

Deno.test("watchPoints() follows symbolic links and watches them", async () => {
  await using home = await TempHome.create({ "secrets/v1/credentials": "" });
  await Deno.mkdir(home.at(".aws"));
  await Deno.symlink("v1", home.at("secrets/current"));
  await Deno.symlink(home.at("secrets/current/credentials"), home.at(".aws/credentials"));
  assert.deepEqual(await points(home, { path: ".aws/credentials" }), {
    "/.aws": ["credentials"],
    "/secrets": ["current"],
    "/secrets/v1": ["credentials"],
  });
});

Deno.test("watchPoints() ends on links that lead in a circle, and takes .. in a link", async () => {
  await using home = await TempHome.create({ "x/file": "" });
  await Deno.symlink("loop", home.at("loop"));
  await Deno.symlink("../x/./file", home.at("x/link"));
  assert.deepEqual(await points(home, { path: "loop" }), { "/": ["loop"] });
  assert.deepEqual(await points(home, { path: "x/link" }), { "/x": ["file", "link"] });
});

/** A watcher whose changes are counted, and whose quiet time passes when told to. */
class Watching implements AsyncDisposable {
  readonly clock = new FakeClock();
  readonly watcher: FileWatcher;
  changes = 0;

  constructor(home: TempHome, ...paths: Watched[]) {
    this.watcher = new FileWatcher({
      paths: paths.map((one) => ({ ...one, path: home.at(one.path) })),
      clock: this.clock,
      onChange: () => void this.changes++,
    });
  }

  /** Starts and forgets the first call, which says that watching has begun. */
  async start(): Promise<this> {
    await this.watcher.start();
    assert.equal(this.changes, 1);
    this.changes = 0;
    return this;
  }

  /** Waits for events and lets the quiet time pass; resolves when the change was told. */
  async changed(what: string): Promise<void> {
    const before = this.changes;
    await eventually(`event: ${what}`, () => this.clock.pending > 0);
    await this.clock.advance(QUIET_MS);
    await eventually(`change: ${what}`, () => this.changes > before);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.watcher.close();
    assert.equal(this.clock.pending, 0);
  }
}

Deno.test("FileWatcher sees writes in place, atomic replacement and removal", async () => {
  await using home = await TempHome.create({ ".aws/config": "1" });
  await using watching = await new Watching(home, { path: ".aws/config" }).start();
  await home.write(".aws/config", "2");
  await watching.changed("write");
  await home.replace(".aws/config", "3");
  await watching.changed("first replacement");
  await home.replace(".aws/config", "4");
  await watching.changed("second replacement");
  await Deno.remove(home.at(".aws/config"));
  await watching.changed("removal");
});

Deno.test("FileWatcher takes a burst of events as one change, after the quiet time", async () => {
  await using home = await TempHome.create({ ".aws/config": "1" });
  await using watching = await new Watching(home, { path: ".aws/config" }).start();
  await home.write(".aws/config", "2");
  await eventually("first event", () => watching.clock.pending > 0);
  await watching.clock.advance(QUIET_MS - 1);
  assert.equal(watching.changes, 0);
  await home.replace(".aws/config", "3");
  // The timer is put back to the full quiet time by the new event.
  await eventually("second event", () => watching.clock.nextIn === QUIET_MS);
  await watching.clock.advance(QUIET_MS - 1);
  assert.equal(watching.changes, 0);
  await watching.changed("burst");
  assert.equal(watching.changes, 1);
});

Deno.test("FileWatcher follows directories that come into being", async () => {
  await using home = await TempHome.create();
  const cache = { path: ".aws/sso/cache", directory: true };
  await using watching = await new Watching(home, cache, { path: ".aws/config" }).start();
  assert.deepEqual(watching.watcher.directories, [home.path]);
  await Deno.mkdir(home.at(".aws"));
  await watching.changed(".aws");
  assert.deepEqual(watching.watcher.directories, [home.at(".aws")]);
  await home.write(".aws/config", "1");
  await watching.changed("config");
  await Deno.mkdir(home.at(".aws/sso/cache"), { recursive: true });
  await watching.changed("sso/cache");
  assert.deepEqual(watching.watcher.directories, [home.at(".aws"), home.at(".aws/sso/cache")]);
  await home.write(".aws/sso/cache/token.json", "{}");
  await watching.changed("token");
});

Deno.test("FileWatcher goes on after the directory was moved away and made anew", async () => {
  await using home = await TempHome.create({ ".aws/config": "1" });
  await using watching = await new Watching(home, { path: ".aws/config" }).start();
  await Deno.rename(home.at(".aws"), home.at(".aws.old"));
  await watching.changed("move");
  assert.deepEqual(watching.watcher.directories, [home.path]);
  await home.write(".aws/config", "2");
  await watching.changed("new directory");
  await home.write(".aws/config", "3");
  await watching.changed("write in the new directory");
});

Deno.test("FileWatcher goes on after the directory was replaced between two events", async () => {
  await using home = await TempHome.create({ ".aws/config": "1", "next/config": "2" });
  await using watching = await new Watching(home, { path: ".aws/config" }).start();
  await Deno.rename(home.at(".aws"), home.at(".aws.old"));
  await Deno.rename(home.at("next"), home.at(".aws"));
  await watching.changed("replacement");
  await home.write(".aws/config", "3");
  await watching.changed("write in the new directory");
});

Deno.test("FileWatcher sees a mounted secret renewed by its link", async () => {
  await using home = await TempHome.create({ "m/v1/config": "1", "m/v2/config": "2" });
  await Deno.symlink("v1", home.at("m/..data"));
  await Deno.symlink("..data/config", home.at("m/config"));
  await using watching = await new Watching(home, { path: "m/config" }).start();
  await Deno.symlink("v2", home.at("m/..next"));
  await Deno.rename(home.at("m/..next"), home.at("m/..data"));
  await watching.changed("link");
  assert.deepEqual(watching.watcher.directories, [home.at("m"), home.at("m/v2")]);
});

Deno.test("FileWatcher ignores other files in the directory", async () => {
  await using home = await TempHome.create({ ".aws/config": "1" });
  await using watching = await new Watching(home, { path: ".aws/config" }).start();
  await home.write(".aws/history", "x");
  await home.write(".aws/config", "2");
  await watching.changed("config");
  assert.equal(watching.changes, 1);
});

Deno.test("FileWatcher.close() is idempotent and ends what is pending", async () => {
  await using home = await TempHome.create({ ".aws/config": "1" });
  const watching = await new Watching(home, { path: ".aws/config" }).start();
  await home.write(".aws/config", "2");
  await eventually("event", () => watching.clock.pending > 0);
  await watching.watcher.close();
  await watching.watcher.close();
  await watching.clock.advance(QUIET_MS * 2);
  assert.equal(watching.changes, 0);
  assert.deepEqual(watching.watcher.directories, []);
});

Deno.test("FileWatcher.close() during start() leaves nothing open", async () => {
  await using home = await TempHome.create({ ".aws/config": "1" });
  const { watcher } = new Watching(home, { path: ".aws/config" });
  const started = watcher.start();
  await watcher.close();
  await started;
  assert.deepEqual(watcher.directories, []);
});
