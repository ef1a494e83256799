/**
 * Tunnels for tests: both ends in this process, with services that a test can replace.
 *
 * @module
 */

import { type Clock, type Conn, connPair, type Credentials } from "../../lib/core/mod.ts";
import {
  createGuestTunnel,
  createHostTunnel,
  type GuestConfig,
  type GuestTunnel,
  type GuestTunnelOptions,
  type HostServices,
  type HostTunnel,
  type HostTunnelOptions,
} from "../../lib/protocol/mod.ts";
import { FakeClock } from "../support/fake_clock.ts";

export const CREDENTIALS: Credentials = {
  accessKeyId: "AKIAEXAMPLE",
  secretAccessKey: "secret",
  sessionToken: "token",
  expiration: 1_700_000_000_000,
};

export const CONFIG: GuestConfig = {
  version: 1,
  region: "eu-central-1",
  instanceId: "i-0123456789abcdef0",
  sshUser: "ec2-user",
  remotePort: 22,
  autoStart: false,
  autoStop: false,
  compression: true,
  connectTimeout: 120,
  endpoints: {},
  env: { HTTPS_PROXY: "http://10.0.2.2:3128" },
};

/** Services that answer something right, but for those that are given. */
export function services(own: Partial<HostServices> = {}): HostServices {
  return {
    credentials: () => Promise.resolve(CREDENTIALS),
    identities: () => Promise.resolve([]),
    sign: () => Promise.resolve("c2lnbmF0dXJl"),
    hostKeyTypes: () => Promise.resolve(["ssh-ed25519"]),
    hostKey: () => Promise.resolve(),
    chooseInstance: (choices) => Promise.resolve(choices[0]!.id),
    ...own,
  };
}

/** What {@linkcode tunnelPair} is told beyond the usual. */
export interface PairOptions {
  readonly host?: Partial<HostTunnelOptions>;
  readonly guest?: Partial<GuestTunnelOptions>;
  readonly clock?: Clock;
  /** The connection below; default one in memory. */
  readonly conns?: readonly [Conn, Conn];
}

/** Both ends of a tunnel. */
export interface Pair extends Disposable {
  readonly host: HostTunnel;
  readonly guest: GuestTunnel;
}

/** What a guest does that a test does not say. */
export function guestOptions(own: Partial<GuestTunnelOptions> = {}): GuestTunnelOptions {
  return {
    onConfigure: () => Promise.resolve(),
    onCredentials: () => Promise.resolve(),
    onStart: () => Promise.resolve(),
    onShutdown: () => Promise.resolve(),
    dial: () => Promise.reject(new Error("No dial in this test")),
    ...own,
  };
}

/** Opens a tunnel. Time stands still unless a clock is given. */
export async function tunnelPair(options: PairOptions = {}): Promise<Pair> {
  const { clock = new FakeClock(), conns: [near, far] = connPair() } = options;
  const [host, guest] = await Promise.all([
    createHostTunnel(near, { services: services(), clock, ...options.host }),
    createGuestTunnel(far, guestOptions({ clock, ...options.guest })),
  ]);
  return {
    host,
    guest,
    [Symbol.dispose]: () => {
      host.close();
      guest.close();
    },
  };
}
