/**
 * Where a port session of a remote host may go: the name is looked up once, when the session starts,
 * and addresses of the instance's surroundings are refused. In the words of the agent.
 *
 * @module
 */

import { parseIpv4Strict, parseIpv6 } from "../../routing/address.ts";

/** Instance metadata, VPC DNS, time and licence services; the router, DNS and broadcast of the VPC. */
const DENIED: ReadonlySet<string> = new Set([
  "169.254.169.254",
  "169.254.169.253",
  "169.254.169.123",
  "169.254.169.250",
  "169.254.169.251",
  "fd00:ec2::254",
  "fd00:ec2::253",
  "fd00:ec2::123",
  "fd00:ec2::240",
  ...[0, 1, 2, 3].map((last) => `10.0.0.${last}`),
  "10.0.255.255",
]);

const VPC_DNS = "10.0.0.2:53";

/** Looks a host up. @throws Error with the text that ends the session */
export function checkForwardTarget(
  host: string,
  lookup: (host: string) => readonly string[],
  { deniesAddresses }: { readonly deniesAddresses: boolean },
): void {
  const addresses = lookup(host);
  if (addresses.length === 0) throw new Error(`lookup ${host} on ${VPC_DNS}: no such host`);
  if (deniesAddresses && addresses.some((address) => DENIED.has(canonical(address)))) {
    throw new Error(`Forwarding to IP address ${host} is forbidden.`);
  }
}

function canonical(address: string): string {
  return (parseIpv4Strict(address) ?? parseIpv6(address))?.text ?? address;
}
