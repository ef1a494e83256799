/** Disruptions that happen when the test says so. */

import type { Disruptions } from "../../lib/ssm/mod.ts";

/** Tells when it is told to. */
export class ToldDisruptions implements Disruptions {
  readonly listeners = new Set<(cause: string) => void>();

  on(listener: (cause: string) => void): Disposable {
    this.listeners.add(listener);
    return { [Symbol.dispose]: () => void this.listeners.delete(listener) };
  }

  tell(cause = "Something happened"): void {
    for (const listener of [...this.listeners]) listener(cause);
  }
}
