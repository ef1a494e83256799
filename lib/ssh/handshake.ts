/**
 * From a connected byte stream to an authenticated ssh2 client: version exchange, key exchange with
 * the check of the host key, public key authentication; all within a time by the clock.
 *
 * @module
 */

import type { Duplex } from "node:stream";
import type { Client } from "ssh2";
import { type Clock, type Conn, getLog, type Timer, toAwsocksError } from "../core/mod.ts";
import { coalesceWrites, duplexFromConn } from "../core/node_stream.ts";
import { chooseAlgorithms } from "./algorithms.ts";
import { identityAgent } from "./auth.ts";
import {
  type HandshakeFacts,
  handshakeFailure,
  type HandshakePhase,
  handshakeTimeout,
  isAside,
} from "./failures.ts";
import type { HostKey, HostKeyVerifier } from "./host_key.ts";
import type { Identity } from "./identity.ts";
import { loadSsh2 } from "./ssh2.ts";
import {
  onAuthRefused,
  releaseCiphers,
  releaseReplacedCiphers,
  serverVersion,
} from "./ssh2_internals.ts";
import { fingerprint, keyTypeOf, sameBytes } from "./wire.ts";

/** Keys offered at most: servers end the connection after a few (OpenSSH: MaxAuthTries 6). */
export const MAX_AUTH_ATTEMPTS = 5;

/**
 * Milliseconds that the user has for a passphrase or a touch; meanwhile the handshake's own time
 * stands still. OpenSSH's LoginGraceTime.
 */
export const SIGN_TIMEOUT_MS = 120_000;

/** What a handshake needs. */
export interface HandshakeOptions {
  readonly user: string;
  readonly identities: readonly Identity[];
  readonly hostKeys: HostKeyVerifier;
  readonly compression: boolean;
  readonly handshakeTimeout: number;
  readonly ident: string;
  readonly clock: Clock;
  readonly signal?: AbortSignal | undefined;
}

/** An authenticated client and the stream below it. */
export interface Handshake {
  readonly client: Client;
  readonly stream: Duplex;
  /** Milliseconds (of the clock's monotonic time) when bytes came in last. */
  readonly lastInput: () => number;
  readonly server: string;
}

/** Bytes before a banner that are kept for messages. */
const GREETING_BYTES = 200;

/** A Conn that remembers when it read last, and what it read first. */
function observe(conn: Conn, clock: Clock) {
  let last = clock.monotonic();
  let first = new Uint8Array();
  const observed: Conn = {
    async read(into) {
      const n = await conn.read(into);
      if (n === null) return n;
      last = clock.monotonic();
      if (first.byteLength < GREETING_BYTES) {
        const more = into.subarray(0, Math.min(n, GREETING_BYTES - first.byteLength));
        first = new Uint8Array([...first, ...more]);
      }
      return n;
    },
    write: (data) => conn.write(data),
    closeWrite: () => conn.closeWrite(),
    close: () => conn.close(),
  };
  const greeting = () =>
    new TextDecoder().decode(first).split(/\r?\nSSH-|^SSH-/)[0]!
      .replaceAll(/[^\x20-\x7e]+/g, " ").trim();
  return { observed, greeting, lastInput: () => last };
}

/** Like a timer, but it can stand still. */
class Deadline {
  readonly #clock: Clock;
  readonly #onExpire: () => void;
  #left: number;
  #since = 0;
  #timer: Timer | undefined;

  constructor(clock: Clock, ms: number, onExpire: () => void) {
    this.#clock = clock;
    this.#left = ms;
    this.#onExpire = onExpire;
    this.resume();
  }

  pause(): void {
    if (!this.#timer) return;
    this.cancel();
    this.#left -= this.#clock.monotonic() - this.#since;
  }

  resume(): void {
    if (this.#timer) return;
    this.#since = this.#clock.monotonic();
    this.#timer = this.#clock.after(Math.max(0, this.#left), this.#onExpire);
  }

  cancel(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }
}

/**
 * Shakes hands. Owns `conn` from the start: it is closed when this rejects.
 *
 * @param build takes over the client in the very moment in which it is authenticated, so that no event
 *   falls between two listeners
 * @throws AwsocksError `ssh-handshake-failed`, `ssh-auth-failed`, `ssh-host-key-…`, `ssh-key-…`; the
 *   signal's reason
 */
export async function shakeHands<T>(
  conn: Conn,
  options: HandshakeOptions,
  build: (handshake: Handshake) => T,
): Promise<T> {
  const { clock, hostKeys, signal } = options;
  const { observed, greeting, lastInput } = observe(conn, clock);
  const stream = coalesceWrites(duplexFromConn(observed));
  const over = new AbortController();
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  const giveUp = (error: unknown) => {
    // Before anything else runs: a late signature or verdict must not reach a client that is gone.
    over.abort();
    reject(error);
  };
  const onAbort = () => giveUp(signal?.reason);
  let deadline: Deadline | undefined;
  let signing: Timer | undefined;
  try {
    signal?.throwIfAborted();
    signal?.addEventListener("abort", onAbort, { once: true });
    const { ssh2, compression } = await loadSsh2();
    const knownHostKeyTypes = await hostKeys.knownTypes();
    signal?.throwIfAborted();

    const client = new ssh2.Client();
    releaseReplacedCiphers(client);
    stream.once("close", () => releaseCiphers(client));
    const identities = options.identities.slice(0, MAX_AUTH_ATTEMPTS);
    const asides: Error[] = [];
    let methods: readonly string[] = [];
    let refused = 0;
    let keysExchanged = false;
    const phase = (): HandshakePhase =>
      keysExchanged ? "authentication" : serverVersion(client) ? "key-exchange" : "banner";
    const facts = (): HandshakeFacts => ({
      phase: phase(),
      user: options.user,
      tried: identities.slice(0, refused + 1),
      methods,
      skipped: options.identities.length - identities.length,
      greeting: greeting(),
      asides,
    });
    const expire = (ms: number) => giveUp(handshakeTimeout(ms, facts()));
    const fail = (error?: unknown) => giveUp(hostKey.refusal ?? handshakeFailure(error, facts()));

    deadline = new Deadline(clock, options.handshakeTimeout, () => {
      expire(options.handshakeTimeout);
    });
    const agent = identityAgent(ssh2, identities, {
      onSigning() {
        deadline?.pause();
        signing = clock.after(SIGN_TIMEOUT_MS, () => expire(SIGN_TIMEOUT_MS));
      },
      onSigned() {
        signing?.cancel();
        deadline?.resume();
      },
    }, over.signal);
    const hostKey = new HostKeyCheck(hostKeys, over.signal);

    let remembered: Promise<void> | undefined;
    client.on("handshake", () => {
      keysExchanged = true;
      if (remembered) return;
      remembered = hostKey.remember();
      remembered.catch(giveUp);
    });
    const onError = (error: Error) => {
      if (!isAside(error)) return fail(error);
      asides.push(error);
      getLog("ssh").debug("Cannot sign with a key, trying the next", { error });
    };
    const onEnd = () => fail();
    client.on("error", onError).on("end", onEnd).on("close", onEnd);
    client.on("ready", () => {
      if (over.signal.aborted) return;
      client.off("error", onError).off("end", onEnd).off("close", onEnd);
      resolve(build({ client, stream, lastInput, server: serverVersion(client) ?? "" }));
    });

    let offered = false;
    client.connect({
      sock: stream,
      username: options.user,
      ident: options.ident,
      readyTimeout: 0,
      keepaliveInterval: 0,
      algorithms: chooseAlgorithms({
        compression: options.compression && compression,
        knownHostKeyTypes,
      }),
      hostVerifier: (key: Uint8Array, verdict: (valid: boolean) => void) =>
        hostKey.check(key.slice(), verdict),
      authHandler: (_methods, _partial, next) => {
        // One method, which goes through all keys; then false, which ends the attempt.
        next(offered ? false as never : { type: "agent", username: options.user, agent });
        offered = true;
      },
    });
    onAuthRefused(client, (offers) => {
      refused++;
      methods = offers;
    });

    const built = await promise;
    await remembered;
    return built;
  } catch (error) {
    // Whatever the client still has to say about a stream that goes away is of no use.
    stream.on("error", () => {});
    stream.destroy();
    throw signal?.aborted && error === signal.reason
      ? error
      : toAwsocksError(error, "ssh-handshake-failed");
  } finally {
    over.abort();
    deadline?.cancel();
    signing?.cancel();
    signal?.removeEventListener("abort", onAbort);
  }
}

/** Puts ssh2's questions about the host key to the verifier. */
class HostKeyCheck {
  readonly #verifier: HostKeyVerifier;
  readonly #over: AbortSignal;
  #verified: HostKey | undefined;
  /** Why the key was refused. */
  refusal: unknown;

  constructor(verifier: HostKeyVerifier, over: AbortSignal) {
    this.#verifier = verifier;
    this.#over = over;
  }

  check(publicKey: Uint8Array, verdict: (valid: boolean) => void): void {
    // Asked again at each re-keying: then it has to be the key that was verified.
    if (this.#verified) return verdict(sameBytes(this.#verified.publicKey, publicKey));
    const key = { keyType: keyTypeOf(publicKey), publicKey, fingerprint: fingerprint(publicKey) };
    this.#verifier.verify(key).then(() => {
      this.#verified = key;
      if (!this.#over.aborted) verdict(true);
    }, (error) => {
      this.refusal = error;
      if (!this.#over.aborted) verdict(false);
    });
  }

  async remember(): Promise<void> {
    if (this.#verified) await this.#verifier.remember(this.#verified);
  }
}
