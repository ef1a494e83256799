/**
 * Credentials that live on the host: asked for when they are needed, and pushed when they change.
 *
 * @module
 */

import { type Clock, type Credentials, type CredentialSource, getLog } from "../core/mod.ts";
import type { CredentialListener, CredentialManager } from "../credentials/mod.ts";
import type { HostServices } from "../protocol/mod.ts";

const log = getLog("guest");

/** Credentials that expire within so many milliseconds are asked for anew. */
const MARGIN_MS = 60_000;

/** A {@linkcode CredentialManager} over the tunnel. */
export class TunnelCredentials implements CredentialManager {
  readonly #host: Pick<HostServices, "credentials">;
  readonly #clock: Clock;
  readonly #listeners = new Set<CredentialListener>();
  #current: Credentials | undefined;

  constructor(host: Pick<HostServices, "credentials">, clock: Clock) {
    this.#host = host;
    this.#clock = clock;
  }

  readonly source: CredentialSource = async ({ signal } = {}) => {
    const { expiration = Infinity } = this.#current ?? {};
    if (this.#current && expiration > this.#clock.now() + MARGIN_MS) return this.#current;
    return await this.#ask(false, signal);
  };

  onUpdate(listener: CredentialListener): Disposable {
    const own: CredentialListener = (credentials) => listener(credentials);
    this.#listeners.add(own);
    return { [Symbol.dispose]: () => void this.#listeners.delete(own) };
  }

  refresh(options: { signal?: AbortSignal | undefined } = {}): Promise<Credentials> {
    return this.#ask(true, options.signal);
  }

  /** The host has sent new ones. */
  update(credentials: Credentials): void {
    if (
      this.#current?.accessKeyId === credentials.accessKeyId &&
      this.#current.secretAccessKey === credentials.secretAccessKey &&
      this.#current.sessionToken === credentials.sessionToken
    ) {
      this.#current = credentials;
      return;
    }
    this.#current = credentials;
    log.info("AWS credentials from the host");
    for (const listener of [...this.#listeners]) listener(credentials);
  }

  /** The host watches. */
  start(): Promise<void> {
    return Promise.resolve();
  }

  /** Forgets them. */
  close(): Promise<void> {
    this.#current = undefined;
    this.#listeners.clear();
    return Promise.resolve();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #ask(refresh: boolean, signal: AbortSignal | undefined): Promise<Credentials> {
    const credentials = await this.#host.credentials({ refresh }, { signal });
    this.update(credentials);
    return credentials;
  }
}
