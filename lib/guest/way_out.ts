/**
 * The guest's way out to AWS, with the proxy and the certificates of its configuration.
 *
 * @module
 */

import type { AwsNetwork } from "../aws/mod.ts";
import type { GuestConfig } from "../protocol/mod.ts";

/** Made on first use, once. */
export class WayOut {
  readonly #config: Pick<GuestConfig, "env" | "caBundle">;
  readonly #stateDir: string;
  #network: Promise<AwsNetwork> | undefined;

  /** @param stateDir folder of the guest's own, for files that libraries want as files */
  constructor(config: Pick<GuestConfig, "env" | "caBundle">, stateDir: string) {
    this.#config = config;
    this.#stateDir = stateDir;
  }

  /** @throws AwsocksError as `createNetwork` does; asked again, it tries again */
  readonly network = (): Promise<AwsNetwork> =>
    this.#network ??= this.#open().catch((error) => {
      this.#network = undefined;
      throw error;
    });

  /** Drops its connections. Idempotent. */
  async close(): Promise<void> {
    (await this.#network?.catch(() => undefined))?.close();
  }

  async #open(): Promise<AwsNetwork> {
    const { env, caBundle } = this.#config;
    const { createNetwork } = await import("../aws/mod.ts");
    if (caBundle === undefined) return createNetwork({ env });
    const path = `${this.#stateDir}/ca-bundle.pem`;
    await Deno.writeTextFile(path, caBundle, { mode: 0o600 });
    return createNetwork({ env: { ...env, AWS_CA_BUNDLE: path } });
  }
}
