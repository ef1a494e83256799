/**
 * A flag that one loop waits for and others set.
 *
 * @module
 */

/** A flag that one can wait for. Set while nobody waits, it is seen by the next who does. */
export class Signal {
  #set = false;
  #waiter: PromiseWithResolvers<void> | undefined;

  /** Raises the flag. */
  set(): void {
    this.#set = true;
    this.#waiter?.resolve();
  }

  /** Waits until the flag is up, and takes it down. */
  async wait(): Promise<void> {
    if (!this.#set) {
      this.#waiter = Promise.withResolvers<void>();
      await this.#waiter.promise;
      this.#waiter = undefined;
    }
    this.#set = false;
  }
}
