/**
 * XML as the Query services of AWS write it, from plain values.
 *
 * @module
 */

/** An element's content; a list becomes `<item>` elements, as in EC2. */
export type Xml = string | number | boolean | readonly Xml[] | { readonly [name: string]: Xml };

/** An element with everything in it, and the XML declaration before it. */
export function element(name: string, content: Xml, namespace?: string): string {
  const attribute = namespace ? ` xmlns="${escape(namespace)}"` : "";
  return `<?xml version="1.0" encoding="UTF-8"?>\n<${name}${attribute}>${write(content)}</${name}>`;
}

function write(content: Xml): string {
  if (Array.isArray(content)) return content.map((item) => `<item>${write(item)}</item>`).join("");
  if (typeof content !== "object") return escape(String(content));
  return Object.entries(content)
    .map(([name, value]) => {
      const inner = write(value);
      return inner === "" ? `<${name}/>` : `<${name}>${inner}</${name}>`;
    })
    .join("");
}

function escape(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;");
}
