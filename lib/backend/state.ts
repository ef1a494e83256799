/**
 * The states of a backend and the moves between them.
 *
 * @module
 */

import { AwsocksError } from "../core/mod.ts";
import type { BackendState } from "./backend.ts";

/** Every legal move. There is no error state: a backend that fails goes on trying. */
export const TRANSITIONS: Readonly<Record<BackendState, readonly BackendState[]>> = {
  idle: ["initializing", "closed"],
  initializing: ["active", "closed"],
  active: ["transitioning", "closed"],
  transitioning: ["active", "closed"],
  closed: [],
};

/** Holds a state and refuses illegal moves. */
export class StateMachine {
  #state: BackendState = "idle";
  readonly #onChange: (from: BackendState, to: BackendState) => void;

  /** @param onChange called after each move */
  constructor(onChange: (from: BackendState, to: BackendState) => void = () => {}) {
    this.#onChange = onChange;
  }

  get state(): BackendState {
    return this.#state;
  }

  /** @throws AwsocksError `internal` for a move that the table does not have */
  to(next: BackendState): void {
    const from = this.#state;
    if (!TRANSITIONS[from].includes(next)) {
      throw new AwsocksError("internal", `Backend cannot go from ${from} to ${next}`);
    }
    this.#state = next;
    this.#onChange(from, next);
  }
}
