/**
 * Reader for the AWS shared config and credentials files, with the rules of the AWS SDKs: section
 * headers, `key = value`, comments, and indented sub-sections, which are skipped. Lenient as they
 * are: a line that makes no sense is passed over.
 *
 * Source: AWS SDKs and Tools Reference Guide, "Shared config and credentials files".
 *
 * @module
 */

/** Keys and values of one section. */
export type IniSection = ReadonlyMap<string, string>;

/** Sections by the text between their brackets, in the order of the file. */
export type IniFile = ReadonlyMap<string, IniSection>;

/** Reads the text of a file. Sections of the same name are merged; the last value of a key counts. */
export function parseIni(text: string): IniFile {
  const sections = new Map<string, Map<string, string>>();
  let section: Map<string, string> | undefined;
  let nested = false;
  for (const raw of text.replace(/^\uFEFF/, "").split(/\r?\n/)) {
    const line = withoutComment(raw).trim();
    if (line.startsWith("[") && line.endsWith("]")) {
      const name = line.slice(1, -1).trim();
      section = sections.get(name) ?? new Map();
      sections.set(name, section);
      nested = false;
      continue;
    }
    const equals = line.indexOf("=");
    if (!section || equals < 1) continue;
    if (nested && /^\s/.test(raw)) continue;
    const value = line.slice(equals + 1).trim();
    // A key without a value opens a sub-section (`s3 =`), whose settings are indented below it.
    nested = value === "";
    if (!nested) section.set(line.slice(0, equals).trim(), value);
  }
  return sections;
}

/** A comment starts at `#` or `;`, at the start of the line or after white space. */
function withoutComment(line: string): string {
  const start = line.search(/(?:^|\s)[#;]/);
  return start === -1 ? line : line.slice(0, start);
}

/**
 * The name in a header `kind name` of the config file, such as `profile dev` or `sso-session "my org"`;
 * undefined for headers of another kind.
 */
export function headerName(header: string, kind: string): string | undefined {
  const match = /^(\S+)\s+(.+)$/.exec(header);
  if (match?.[1] !== kind) return undefined;
  return match[2]!.replace(/^(["'])(.*)\1$/, "$2").trim() || undefined;
}
