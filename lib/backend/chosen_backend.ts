/**
 * A backend whose kind is chosen when it is first used.
 *
 * @module
 */

import { AwsocksError, type Conn, type Credentials, orAborted, type Target } from "../core/mod.ts";
import type { Backend, BackendState, DialOptions } from "./backend.ts";

/** Chooses among backends, once. */
export class ChosenBackend implements Backend {
  readonly #choose: (options: { signal: AbortSignal }) => Promise<Backend>;
  readonly #onChange: (() => void) | undefined;
  readonly #abort = new AbortController();
  #choosing: Promise<Backend> | undefined;
  #chosen: Backend | undefined;
  #closing: Promise<void> | undefined;

  /**
   * @param choose makes the backend; one that fails is asked again by the next use
   * @param onChange called when its own state changes; the chosen one tells of its own
   */
  constructor(
    choose: (options: { signal: AbortSignal }) => Promise<Backend>,
    onChange?: (() => void) | undefined,
  ) {
    this.#choose = choose;
    this.#onChange = onChange;
  }

  get name(): string {
    return this.#chosen?.name ?? "auto";
  }

  get state(): BackendState {
    if (this.#closing) return "closed";
    return this.#chosen?.state ?? (this.#choosing ? "initializing" : "idle");
  }

  get lastError(): Error | undefined {
    return this.#chosen?.lastError;
  }

  async start(options: DialOptions = {}): Promise<void> {
    await (await this.#backend(options)).start(options);
  }

  async dial(target: Target, options: DialOptions = {}): Promise<Conn> {
    return await (await this.#backend(options)).dial(target, options);
  }

  onCredentialUpdate(credentials: Credentials): void {
    this.#chosen?.onCredentialUpdate(credentials);
  }

  close(): Promise<void> {
    return this.#closing ??= this.#close();
  }

  async #close(): Promise<void> {
    this.#abort.abort(stopping());
    this.#onChange?.();
    const chosen = this.#chosen ?? await this.#choosing?.catch(() => undefined);
    await chosen?.close();
  }

  async #backend({ signal }: DialOptions): Promise<Backend> {
    if (this.#closing) throw stopping();
    if (this.#chosen) return this.#chosen;
    if (!this.#choosing) {
      this.#choosing = this.#choose({ signal: this.#abort.signal })
        .then((backend) => this.#chosen = backend)
        .finally(() => this.#choosing = undefined);
      this.#choosing.catch(() => {}); // whoever waited may have left
      this.#onChange?.();
    }
    return await orAborted(this.#choosing, signal);
  }
}

function stopping(): AwsocksError {
  return new AwsocksError("backend-closed", "The proxy is stopping");
}
