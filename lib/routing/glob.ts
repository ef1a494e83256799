/**
 * Glob matching in time proportional to text × glob, whatever the glob: no regular expression is made of
 * what a user wrote.
 *
 * @module
 */

/** True if `text` as a whole matches: `*` is any run of characters, `?` exactly one. */
export function matchGlob(glob: string, text: string): boolean {
  let g = 0;
  let t = 0;
  let star = -1;
  let resume = 0;
  while (t < text.length) {
    if (glob[g] === "*") {
      star = g++;
      resume = t;
    } else if (g < glob.length && (glob[g] === "?" || glob[g] === text[t])) {
      g++;
      t++;
    } else if (star >= 0) {
      // Give the latest star one character more; earlier stars need no second try.
      g = star + 1;
      t = ++resume;
    } else {
      return false;
    }
  }
  while (glob[g] === "*") g++;
  return g === glob.length;
}
