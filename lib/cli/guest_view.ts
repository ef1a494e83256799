/**
 * The host's addresses as its guest sees them: behind the guest's network, this machine's loopback has
 * an address of its own.
 *
 * @module
 */

import type { Endpoints } from "../config/mod.ts";
import type { Environment } from "./terminal.ts";

/** This machine as guests of QEMU's user network reach it; see "Network emulation" in its manual. */
export const HOST_SEEN_BY_GUEST = "10.0.2.2";

const LOOPBACK = /^(localhost|127(\.\d+){3}|\[::1\])$/i;

/** Variables that hold a URL. */
const URL_NAMES = /^((https?|all)_proxy|AWS_ENDPOINT_URL(_[A-Z0-9_]+)?)$/i;

/** A URL that leads to this machine as it leads there from the guest; any other text as it is. */
export function urlForGuest(text: string, host = HOST_SEEN_BY_GUEST): string {
  const url = URL.parse(text);
  // `proxy:3128` is a URL with an opaque path; only what has a host is meant here.
  if (!url || !LOOPBACK.test(url.hostname)) return text;
  url.hostname = host;
  // A URL without a path gets one; whoever joins paths to it must not see two slashes.
  return /\/$/.test(text) ? url.href : url.href.replace(/\/$/, "");
}

/** The variables with URLs of this machine turned round. */
export function environmentForGuest(env: Environment): Record<string, string | undefined> {
  return Object.fromEntries(
    Object.entries(env).map(([name, value]) => {
      if (value && URL_NAMES.test(name)) return [name, urlForGuest(value)];
      // What needs no proxy here needs none from there.
      if (value && /^no_proxy$/i.test(name)) return [name, `${value},${HOST_SEEN_BY_GUEST}`];
      return [name, value];
    }),
  );
}

/** Endpoint overrides with those on this machine turned round. */
export function endpointsForGuest(endpoints: Endpoints): Endpoints {
  return Object.fromEntries(
    Object.entries(endpoints).map(([name, url]) => [name, urlForGuest(url)]),
  );
}
