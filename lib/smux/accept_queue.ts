/**
 * Streams that the peer has opened and nobody has taken yet.
 *
 * @module
 */

/** A bounded queue with an end, read by iterating. */
export class AcceptQueue<T> implements AsyncIterable<T> {
  readonly #limit: number;
  readonly #items: T[] = [];
  #waiting: ((result: IteratorResult<T, undefined>) => void)[] = [];
  #ended = false;

  /** @param limit items that may wait */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** True while one more item would have to be refused. */
  get full(): boolean {
    return this.#waiting.length === 0 && this.#items.length >= this.#limit;
  }

  /**
   * Adds an item.
   * @returns false if the queue is full or at its end
   */
  push(item: T): boolean {
    if (this.#ended || this.full) return false;
    const taker = this.#waiting.shift();
    if (taker) taker({ value: item, done: false });
    else this.#items.push(item);
    return true;
  }

  /** Ends the queue after the items that wait. */
  end(): void {
    this.#ended = true;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const taker of waiting) taker({ value: undefined, done: true });
  }

  /** Takes out all items that wait. */
  drain(): T[] {
    return this.#items.splice(0);
  }

  [Symbol.asyncIterator](): AsyncIterator<T, undefined> {
    return { next: () => this.#next() };
  }

  #next(): Promise<IteratorResult<T, undefined>> {
    const item = this.#items.shift();
    if (item !== undefined) return Promise.resolve({ value: item, done: false });
    if (this.#ended) return Promise.resolve({ value: undefined, done: true });
    return new Promise((resolve) => void this.#waiting.push(resolve));
  }
}
