/**
 * Notices changes of files by watching their directories.
 *
 * It says only that something may have changed: the receiver compares what it reads with what it had.
 *
 * @module
 */

import { basename } from "node:path";
import { type Clock, describeError, getLog, type Timer } from "../core/mod.ts";
import { type Names, type Watched, watchPoints } from "./watch_points.ts";

/** Quiet time after which a burst of events counts as one change, in milliseconds. */
export const QUIET_MS = 500;

/** Directories that appear while others are being set up are looked for this many times. */
const SETTLE_ROUNDS = 5;

/** Options of {@linkcode FileWatcher}. */
export interface FileWatcherOptions {
  readonly paths: readonly Watched[];
  readonly clock: Clock;
  /** Called when a path may have changed, and once when watching has begun. */
  readonly onChange: () => void;
}

interface Point {
  names: Names;
  readonly watcher: Deno.FsWatcher;
}

/** Watches paths that may come and go. */
export class FileWatcher implements AsyncDisposable {
  readonly #options: FileWatcherOptions;
  readonly #log = getLog("credentials");
  readonly #points = new Map<string, Point>();
  readonly #loops = new Set<Promise<void>>();
  /** Directories that cannot be watched; told once each. */
  readonly #refused = new Set<string>();
  #timer: Timer | undefined;
  #updating: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(options: FileWatcherOptions) {
    this.#options = options;
  }

  /** Directories being watched now. */
  get directories(): string[] {
    return [...this.#points.keys()].sort();
  }

  /** Begins; resolves when changes from now on are noticed. */
  async start(): Promise<void> {
    await this.#update();
  }

  /** Stops watching. Idempotent. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#timer?.cancel();
    for (const directory of [...this.#points.keys()]) this.#drop(directory);
    await this.#updating;
    await Promise.all(this.#loops);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #update(): Promise<void> {
    this.#updating = this.#updating.then(async () => {
      if (this.#closed) return;
      await this.#follow();
      if (!this.#closed) this.#options.onChange();
    });
    return this.#updating;
  }

  /** Adapts the watched directories to what exists, until nothing new has appeared meanwhile. */
  async #follow(): Promise<void> {
    for (let round = 0; round < SETTLE_ROUNDS; round++) {
      const wanted = await watchPoints(this.#options.paths);
      if (this.#closed) return;
      for (const directory of [...this.#points.keys()]) {
        if (!wanted.has(directory)) this.#drop(directory);
      }
      let added = false;
      for (const [directory, names] of wanted) added = this.#watch(directory, names) || added;
      if (!added) return;
    }
  }

  /** @returns true when the directory was not watched before */
  #watch(directory: string, names: Names): boolean {
    const point = this.#points.get(directory);
    if (point) {
      point.names = names;
      return false;
    }
    let watcher: Deno.FsWatcher;
    try {
      watcher = Deno.watchFs(directory, { recursive: false });
    } catch (error) {
      this.#refuse(directory, error);
      return false;
    }
    const added: Point = { names, watcher };
    this.#points.set(directory, added);
    const loop = this.#listen(directory, added).finally(() => this.#loops.delete(loop));
    this.#loops.add(loop);
    return true;
  }

  async #listen(directory: string, point: Point): Promise<void> {
    try {
      for await (const event of point.watcher) {
        if (concerns(event, directory, point.names)) this.#touch(directory, event);
      }
    } catch (error) {
      this.#refuse(directory, error);
      this.#drop(directory);
    }
  }

  #touch(directory: string, event: Deno.FsEvent): void {
    if (this.#closed) return;
    // Something befell the directory itself. If it was moved, the watch went with it, and another may
    // stand in its place already: watch anew what is there now.
    if (event.paths.includes(directory)) this.#drop(directory);
    this.#timer?.cancel();
    this.#timer = this.#options.clock.after(QUIET_MS, () => void this.#update());
  }

  #drop(directory: string): void {
    const point = this.#points.get(directory);
    if (!this.#points.delete(directory)) return;
    point?.watcher.close();
  }

  #refuse(directory: string, error: unknown): void {
    if (this.#closed || this.#refused.has(directory)) return;
    this.#refused.add(directory);
    this.#log.warn(
      "Cannot watch {directory}: a new login is noticed only at the next attempt to refresh",
      { directory, reason: describeError(error) },
    );
  }
}

function concerns(event: Deno.FsEvent, directory: string, names: Names): boolean {
  if (event.kind === "access") return false;
  if (event.paths.length === 0 || names === "all") return true;
  return event.paths.some((path) => path === directory || names.has(basename(path)));
}
