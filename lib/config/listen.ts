/**
 * The syntax of the address a proxy listens on. The room `proxy` gives it meaning.
 *
 * @module
 */

/** True for `host:port`, `[address]:port` and `:port`. Names are not looked up. */
export function isListenAddress(text: string): boolean {
  const match = /^(?:\[([0-9a-f:.]+)(?:%[\w.-]+)?\]|((?:[a-z0-9][a-z0-9_.-]*)?)):(\d{1,5})$/i.exec(
    text,
  );
  if (!match) return false;
  const [, ipv6, name, port] = match;
  if (Number(port) > 65535) return false;
  if (ipv6 !== undefined) {
    const url = URL.parse(`http://[${ipv6}]`);
    // IPv4 in IPv6 clothing is no address to listen on.
    return url !== null && !url.hostname.startsWith("[::ffff:");
  }
  // The URL parser refuses what looks like an IPv4 address but is none.
  return name === "" || URL.canParse(`http://${name}`);
}
