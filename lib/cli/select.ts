/**
 * A list to pick from, as a pure state machine: {@linkcode press} takes a key, {@linkcode render}
 * gives the lines to show. What reads keys and draws lines is in `prompt.ts`.
 *
 * Typing filters, every word of the filter must occur. `j` and `k` move as in vi as long as nothing
 * has been typed; `/` starts a filter that may begin with them.
 *
 * @module
 */

import type { Key } from "./keys.ts";
import { createStyle, displayWidth, pad, plain, truncate } from "./style.ts";

/** One entry of the list. */
export interface Choice {
  readonly label: string;
  /** More about it, shown dimly after the label and searched by the filter too. */
  readonly detail?: string;
}

/** The list at one moment. */
export interface SelectState {
  readonly title: string;
  readonly choices: readonly Choice[];
  /** What was typed; undefined until a filter was started. */
  readonly filter: string | undefined;
  /** Indices of the choices that pass the filter. */
  readonly visible: readonly number[];
  /** Position in `visible`. */
  readonly cursor: number;
}

/** What a key led to. */
export type SelectStep =
  | { readonly state: SelectState }
  | { readonly picked: number }
  | { readonly cancelled: true };

/** The list before the first key. */
export function openSelect(title: string, choices: readonly Choice[]): SelectState {
  return { title, choices, filter: undefined, visible: choices.map((_, i) => i), cursor: 0 };
}

/** Lines by which Page Up and Page Down move. */
const PAGE = 10;

/** The list after a key. */
export function press(state: SelectState, key: Key): SelectStep {
  const move = (cursor: number) => ({ state: { ...state, cursor: clampCursor(state, cursor) } });
  const count = state.visible.length;
  switch (key.name) {
    case "interrupt":
    case "end-of-input":
      return { cancelled: true };
    case "escape":
      // Leaves the filter first, as every other picker does.
      return state.filter === undefined
        ? { cancelled: true }
        : { state: withFilter(state, undefined) };
    case "enter": {
      const picked = state.visible[state.cursor];
      return picked === undefined ? { state } : { picked };
    }
    case "up":
      return move(count === 0 ? 0 : (state.cursor - 1 + count) % count);
    case "down":
      return move(count === 0 ? 0 : (state.cursor + 1) % count);
    case "home":
      return move(0);
    case "end":
      return move(count - 1);
    case "page-up":
      return move(state.cursor - PAGE);
    case "page-down":
      return move(state.cursor + PAGE);
    case "clear":
      return { state: withFilter(state, undefined) };
    case "backspace":
      return { state: withFilter(state, shorten(state.filter)) };
    case "character":
      return typed(state, key.text);
    default:
      return { state };
  }
}

function typed(state: SelectState, text: string): SelectStep {
  if (state.filter === undefined) {
    if (text === "j") return press(state, { name: "down" });
    if (text === "k") return press(state, { name: "up" });
    if (text === "/") return { state: withFilter(state, "") };
  }
  return { state: withFilter(state, (state.filter ?? "") + text) };
}

/** The filter without its last character; none once it is empty. */
function shorten(filter: string | undefined): string | undefined {
  return filter ? [...filter].slice(0, -1).join("") : undefined;
}

function withFilter(state: SelectState, filter: string | undefined): SelectState {
  const words = (filter ?? "").toLowerCase().split(/\s+/).filter((word) => word !== "");
  const visible = state.choices.flatMap((choice, index) => {
    const text = `${choice.label} ${choice.detail ?? ""}`.toLowerCase();
    return words.every((word) => text.includes(word)) ? [index] : [];
  });
  // The cursor stays on its choice as long as that one is there.
  const cursor = visible.indexOf(state.visible[state.cursor] ?? -1);
  return { ...state, filter, visible, cursor: Math.max(0, cursor) };
}

function clampCursor(state: SelectState, cursor: number): number {
  return Math.max(0, Math.min(cursor, state.visible.length - 1));
}

/** Room for the picture. */
export interface SelectView {
  readonly columns: number;
  readonly rows: number;
  readonly color: boolean;
}

/** The lines to show, none wider than the terminal and no more than it has. */
export function render(state: SelectState, view: SelectView): string[] {
  const style = createStyle(view.color);
  // The last column stays empty: some terminals wrap when it is written.
  const width = Math.max(1, view.columns - 1);
  const fit = (text: string) => truncate(plain(text), width);
  const head = state.filter === undefined ? "" : `/${state.filter}`;
  const lines = [
    style.bold(fit(state.title)) +
    (head === ""
      ? ""
      : ` ${style.cyan(truncate(plain(head), width - displayWidth(state.title) - 1))}`),
  ];
  const room = Math.max(1, Math.min(view.rows - 3, 12));
  const first = Math.max(
    0,
    Math.min(state.cursor - Math.floor(room / 2), state.visible.length - room),
  );
  const labels = Math.max(0, ...state.choices.map((choice) => displayWidth(plain(choice.label))));
  for (const [offset, index] of state.visible.slice(first, first + room).entries()) {
    lines.push(row(state.choices[index]!, first + offset === state.cursor, labels, width, style));
  }
  if (state.visible.length === 0) lines.push(style.dim(fit("  nothing matches")));
  const place = state.visible.length > room
    ? `${state.cursor + 1} of ${state.visible.length} · `
    : "";
  lines.push(style.dim(fit(`${place}↑↓ move · type to filter · Enter picks · Esc leaves`)));
  return lines;
}

function row(
  choice: Choice,
  current: boolean,
  labels: number,
  width: number,
  style: ReturnType<typeof createStyle>,
): string {
  const label = truncate(plain(choice.label), width - 2);
  const marker = current ? style.cyan("❯ ") : "  ";
  const shown = current ? style.bold(label) : label;
  const left = width - 2 - Math.max(labels, displayWidth(label)) - 2;
  if (choice.detail === undefined || left < 4) return marker + shown;
  const gap = pad("", labels - displayWidth(label) + 2);
  return marker + shown + gap + style.dim(truncate(plain(choice.detail), left));
}
