/**
 * The page at `/`: small, readable in a terminal and in a browser.
 *
 * @module
 */

/** Text that only the page inside the VPC contains. */
export const PAGE_TEXT = "Hello from inside the VPC";

/** The page of a host. */
export function page(host: string): string {
  const name = host.replaceAll(/[^\w.:[\]-]/g, "") || "this host";
  const title = name.endsWith(".sandbox.internal") || name === "this host"
    ? PAGE_TEXT
    : `${PAGE_TEXT}: the staging copy of ${name}`;
  return `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <title>${title}</title>
  </head>
  <body>
    <h1>${title}</h1>
    <p>${name} has a private address only. This page came through a SOCKS5 proxy, SSH,
    a Session Manager session and an instance.</p>
    <ul>
      <li><a href="/headers">/headers</a></li>
      <li><a href="/bytes?size=1048576&amp;seed=1">/bytes?size=1048576&amp;seed=1</a></li>
      <li><a href="/sha256?size=1048576&amp;seed=1">/sha256?size=1048576&amp;seed=1</a></li>
      <li><a href="/slow?ms=3000">/slow?ms=3000</a></li>
    </ul>
  </body>
</html>
`;
}
