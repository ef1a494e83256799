/**
 * AWS's XML as plain values: elements are objects, text is a string, repeated elements are arrays.
 * `fast-xml-parser` is loaded on the first answer.
 *
 * @module
 */

/** An element's children by name; text for an element without children. */
export type XmlNode = unknown;

/**
 * Parses a document. Every text stays a string: `0123` is an id, not a number.
 * @throws the parser's Error for text that is not well-formed
 */
export async function parseXml(text: string): Promise<XmlNode> {
  const { XMLParser } = await import("fast-xml-parser");
  return new XMLParser({ parseTagValue: false }).parse(text, true);
}

/** The descendant at a path of element names; the first one where a name repeats. */
export function nodeAt(node: XmlNode, ...path: string[]): XmlNode {
  let at: unknown = node;
  for (const name of path) {
    const parent: unknown = Array.isArray(at) ? at[0] : at;
    if (typeof parent !== "object" || parent === null || !Object.hasOwn(parent, name)) {
      return undefined;
    }
    at = (parent as Record<string, unknown>)[name];
  }
  return at;
}

/** The text at a path; undefined if there is no such element or it is empty. */
export function textAt(node: XmlNode, ...path: string[]): string | undefined {
  const at = nodeAt(node, ...path);
  const first: unknown = Array.isArray(at) ? at[0] : at;
  return typeof first === "string" && first !== "" ? first : undefined;
}

/** The `item` elements of the list at a path, in order; empty if there is no such list. */
export function itemsAt(node: XmlNode, ...path: string[]): readonly XmlNode[] {
  const at = nodeAt(node, ...path, "item");
  if (at === undefined) return [];
  return Array.isArray(at) ? at : [at];
}
