/**
 * Checks host keys against known hosts files, and trusts an unknown instance on first use.
 *
 * The name that counts is the instance id: it is unique and belongs to one machine. A private address
 * or DNS name can confirm a key, but not contradict it: the same 10.0.0.5 exists in many a VPC.
 *
 * @module
 */

import { dirname } from "node:path";
import { AwsocksError, type Clock, getLog, type Log, systemClock, writeAll } from "../core/mod.ts";
import type { HostKey, HostKeyVerifier } from "./host_key.ts";
import {
  formatKnownHost,
  type KnownHost,
  knownHostName,
  matchesHost,
  parseKnownHosts,
} from "./known_hosts.ts";
import { fingerprint, sameBytes } from "./wire.ts";

/** Options of {@linkcode createHostKeyVerifier}. */
export interface HostKeyVerifierOptions {
  readonly instanceId: string;
  /** Private DNS name or address of the instance, or several: more names for a known key. */
  readonly host?: string | readonly string[] | undefined;
  /** Port of sshd; default 22. */
  readonly port?: number | undefined;
  /** File of our own, read and appended to; see {@linkcode ownKnownHostsFile}. */
  readonly ownFile: string;
  /** File of the user's OpenSSH, only read. */
  readonly knownHostsFile?: string | undefined;
  /** Refuse an instance that is in neither file; default false: trust it and record its key. */
  readonly strict?: boolean | undefined;
  readonly log?: Log | undefined;
  readonly clock?: Clock;
}

/** Milliseconds to wait for the lock on the file of our own, and between two tries. */
const LOCK_TIMEOUT_MS = 2_000;
const LOCK_RETRY_MS = 20;

/** `$XDG_STATE_HOME/awsocks/known_hosts`, by default in `~/.local/state`. */
export function ownKnownHostsFile(
  places: { readonly xdgStateHome?: string | undefined; readonly home: string },
): string {
  // The XDG Base Directory Specification has relative paths ignored.
  const state = places.xdgStateHome?.startsWith("/")
    ? places.xdgStateHome
    : `${places.home}/.local/state`;
  return `${state}/awsocks/known_hosts`;
}

/** Host key types that the client can offer; see `algorithms.ts`. */
const USABLE_TYPES: ReadonlySet<string> = new Set([
  "ssh-ed25519",
  "ecdsa-sha2-nistp256",
  "ecdsa-sha2-nistp384",
  "ecdsa-sha2-nistp521",
  "ssh-rsa",
]);

/** An entry and the file that it stands in. */
interface Recorded extends KnownHost {
  readonly file: string;
}

/** A verifier over the files as they are at the time of each call. */
export function createHostKeyVerifier(options: HostKeyVerifierOptions): HostKeyVerifier {
  return new FileVerifier(options);
}

class FileVerifier implements HostKeyVerifier {
  readonly #options: HostKeyVerifierOptions;
  readonly #log: Log;
  readonly #name: string;
  readonly #aliases: readonly string[];

  constructor(options: HostKeyVerifierOptions) {
    this.#options = options;
    this.#log = options.log ?? getLog("ssh");
    this.#name = knownHostName(options.instanceId, options.port);
    this.#aliases = [options.host ?? []].flat().map((host) => knownHostName(host, options.port));
  }

  async knownTypes(): Promise<readonly string[]> {
    const entries = await this.#read();
    const own = entries.filter((entry) => this.#isOwn(entry));
    const others = entries.filter((entry) => !this.#isOwn(entry) && entry.marker === undefined);
    return [...new Set([...own, ...others].map((entry) => entry.keyType))];
  }

  async verify(key: HostKey): Promise<void> {
    this.#judge(await this.#read(), key);
  }

  async remember(key: HostKey): Promise<void> {
    const { ownFile, instanceId } = this.#options;
    if (this.#judge(await this.#read(), key) === "known") return;
    try {
      await Deno.mkdir(dirname(ownFile), { recursive: true, mode: 0o700 });
      using file = await Deno.open(ownFile, {
        read: true,
        append: true,
        create: true,
        mode: 0o600,
      });
      await this.#lock(file);
      const text = await Deno.readTextFile(ownFile);
      if (this.#judge(await this.#read(), key) === "known") return;
      const line = formatKnownHost(this.#name, key.publicKey);
      const start = text === "" || text.endsWith("\n") ? "" : "\n";
      await writeAll(file, new TextEncoder().encode(start + line));
    } catch (error) {
      if (error instanceof AwsocksError) throw error;
      this.#log.warn("Cannot record the host key; it is trusted for now", {
        instance: instanceId,
        file: ownFile,
        error,
      });
      return;
    }
    this.#log.info("Trusting the host key of {instance} on first use: {fingerprint}", {
      instance: instanceId,
      fingerprint: key.fingerprint,
      keyType: key.keyType,
      file: ownFile,
    });
  }

  /**
   * Keeps other processes from writing the same; released with the file. After a while it goes on
   * without: a line is appended in one write, so that the file stays whole.
   */
  async #lock(file: Deno.FsFile): Promise<void> {
    if (typeof file.tryLock !== "function") return; // runtimes before Deno 2.8
    const { clock = systemClock } = this.#options;
    const end = clock.monotonic() + LOCK_TIMEOUT_MS;
    while (!await file.tryLock(true) && clock.monotonic() < end) await clock.sleep(LOCK_RETRY_MS);
  }

  /** @throws AwsocksError unless the key is known, or the instance is not and may be new */
  #judge(entries: readonly Recorded[], key: HostKey): "known" | "new" {
    const same = entries.filter((entry) => sameBytes(entry.publicKey, key.publicKey));
    const revoked = same.find((entry) => entry.marker === "revoked");
    if (revoked) throw this.#revokedError(revoked, key);
    if (same.length > 0) return "known";
    const recorded = entries.filter((entry) => this.#isOwn(entry));
    // The recorded types were offered first: a server that had such a key would have presented it.
    const other = recorded.find((entry) => entry.keyType === key.keyType) ?? recorded[0];
    if (other) throw this.#changedError(other, key);
    if (this.#options.strict) throw this.#unknownError(key);
    return "new";
  }

  /** True for a key recorded under the instance id, of a type that the server could be asked for. */
  #isOwn(entry: Recorded): boolean {
    return entry.marker === undefined && USABLE_TYPES.has(entry.keyType) &&
      matchesHost(entry, this.#name);
  }

  /** Entries for this instance of both files; lines of authorities are left out. */
  async #read(): Promise<Recorded[]> {
    const { ownFile, knownHostsFile } = this.#options;
    const entries: Recorded[] = [];
    for (const file of new Set([ownFile, ...(knownHostsFile ? [knownHostsFile] : [])])) {
      for (const entry of parseKnownHosts(await this.#readFile(file))) {
        if (![this.#name, ...this.#aliases].some((name) => matchesHost(entry, name))) continue;
        if (entry.marker === "cert-authority") {
          this.#log.debug("Host certificates are not supported, ignoring an authority", {
            file,
            line: entry.line,
          });
        } else entries.push({ ...entry, file });
      }
    }
    return entries;
  }

  async #readFile(file: string): Promise<string> {
    try {
      return await Deno.readTextFile(file);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) {
        this.#log.warn("Cannot read known hosts", { file, error });
      }
      return "";
    }
  }

  #changedError(entry: Recorded, key: HostKey): AwsocksError {
    return this.#error(
      "ssh-host-key-changed",
      `The host key of ${this.#name} has changed: ` +
        `${entry.file} line ${entry.line} has ${
          fingerprint(entry.publicKey)
        } (${entry.keyType}), ` +
        `the server presents ${key.fingerprint} (${key.keyType})`,
      key,
      entry,
    );
  }

  #revokedError(entry: Recorded, key: HostKey): AwsocksError {
    return this.#error(
      "ssh-host-key-changed",
      `The host key of ${this.#name} is revoked: ${entry.file} line ${entry.line} rules out ` +
        `${key.fingerprint} (${key.keyType})`,
      key,
      entry,
      "somebody may have taken that key; replace the host keys of the instance",
    );
  }

  #unknownError(key: HostKey): AwsocksError {
    return this.#error(
      "ssh-host-key-unknown",
      `The host key of ${this.#name} is not known: the server presents ` +
        `${key.fingerprint} (${key.keyType})`,
      key,
    );
  }

  #error(
    code: "ssh-host-key-changed" | "ssh-host-key-unknown",
    message: string,
    key: HostKey,
    entry?: Recorded,
    hint?: string,
  ): AwsocksError {
    return new AwsocksError(code, message, {
      ...(hint === undefined ? {} : { hint }),
      facts: {
        instance: this.#options.instanceId,
        file: entry?.file,
        line: entry?.line,
        known: entry && fingerprint(entry.publicKey),
        presented: key.fingerprint,
      },
    });
  }
}
