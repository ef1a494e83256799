/**
 * What the tables of flags are made of.
 *
 * @module
 */

/**
 * What a flag takes.
 *
 * - `boolean`: `--x`, `--no-x`, `--x=true`, `--x=false`
 * - `string`: one value; the last one given counts
 * - `integer`: a whole number between `min` and `max`
 * - `list`: repeatable, and each value may hold several, separated by commas
 * - `optional`: `--x` alone or `--x=value`
 */
export type FlagKind = "boolean" | "string" | "integer" | "list" | "optional";

/** Headings of the help, in their order. */
export const FLAG_GROUPS = [
  "Where to connect",
  "SSH",
  "Proxy",
  "Routing",
  "Virtual machine",
  "Sandbox",
  "Output",
] as const;

/** One flag. */
export interface FlagSpec {
  readonly name: string;
  readonly short?: string;
  readonly kind: FlagKind;
  /** What the help calls the value. */
  readonly value?: string;
  /** The values allowed. */
  readonly choices?: readonly string[];
  readonly min?: number;
  readonly max?: number;
  readonly group: typeof FLAG_GROUPS[number];
  /** Help text, without a full stop. */
  readonly text: string;
  /** The flag is a key of the configuration: it goes to the settings under its own name. */
  readonly setting?: boolean;
  /** The value is a secret that a process list would show. Names what to use in its place. */
  readonly exposes?: string;
  /** The help shows it with `--no-` too: it is on by default, or overrules a profile that has it. */
  readonly negatable?: boolean;
  /** Left out of the help. */
  readonly hidden?: boolean;
}
