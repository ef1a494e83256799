/**
 * Words for a POSIX shell.
 *
 * @module
 */

/** Characters that mean nothing to a shell wherever they stand. */
const PLAIN = /^[\w@%+=:,./-]+$/;

/** Quotes a word so that a POSIX shell takes it as it is. */
export function quoteWord(word: string): string {
  // A first word with an equals sign would be an assignment.
  if (PLAIN.test(word) && !word.includes("=")) return word;
  return `'${word.replaceAll("'", `'\\''`)}'`;
}

/**
 * The command that arguments of a program stand for: a single one is a command as a shell knows it,
 * several are a program and its arguments, each of which arrives as it is.
 */
export function commandOf(words: readonly string[]): string {
  return words.length === 1 ? words[0]! : words.map(quoteWord).join(" ");
}
