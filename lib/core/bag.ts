/**
 * Things that come and go, in no order.
 *
 * @module
 */

/** A place in a {@linkcode Bag}, with which its item is taken out. */
export interface Place<T> {
  readonly item: T;
  /** Where it is now; -1 once it has been taken out. */
  index: number;
}

/**
 * A collection for thousands of short-lived things a second.
 *
 * A `Set` makes a new table each time it grows, shrinks or fills up with holes, and V8 links the old
 * table to it. Once an old table has been promoted to the old generation, all tables after it, with
 * everything that was ever in them, survive every minor garbage collection: connections that ended long
 * ago are copied around until a full collection.
 */
export class Bag<T> {
  readonly #places: Place<T>[] = [];

  /** How many things are in it. */
  get size(): number {
    return this.#places.length;
  }

  /** Puts something in. */
  add(item: T): Place<T> {
    const place = { item, index: this.#places.length };
    this.#places.push(place);
    return place;
  }

  /** Takes something out. Idempotent. */
  remove(place: Place<T>): void {
    if (place.index < 0) return;
    const last = this.#places.pop()!;
    if (last !== place) {
      this.#places[place.index] = last;
      last.index = place.index;
    }
    place.index = -1;
  }

  /** What is in it now; the list stays as it is. */
  items(): T[] {
    return this.#places.map(({ item }) => item);
  }

  /** The places of what is in it now; the list stays as it is. */
  places(): Place<T>[] {
    return [...this.#places];
  }
}
