/**
 * The host's half and the guest's half of VM mode in one process, with a sandbox as their AWS and a Unix
 * socket between them.
 *
 * @module
 */

import { createGuestBackend, GuestBackend } from "../../lib/backend/guest_backend.ts";
import type { AwsBackendSettings } from "../../lib/backend/mod.ts";
import {
  AwsocksError,
  type Conn,
  type Credentials,
  readAll,
  systemClock,
  type Target,
  writeAll,
} from "../../lib/core/mod.ts";
import { type CredentialManager, fixedCredentials } from "../../lib/credentials/mod.ts";
import { GuestAgent } from "../../lib/guest/mod.ts";
import { type Sandbox, type SandboxOptions, startSandbox } from "../../lib/sandbox/mod.ts";
import type { Disruptions } from "../../lib/ssm/mod.ts";
import {
  connectVsock,
  listenVsock,
  type VsockAddress,
  type VsockListener,
} from "../../lib/vsock/mod.ts";

/** What {@linkcode startGuestStack} is told. */
export interface GuestStackOptions {
  readonly sandbox?: SandboxOptions;
  readonly settings?: Partial<AwsBackendSettings>;
  /** Default those that the sandbox gives. */
  readonly credentials?: (sandbox: Sandbox) => CredentialManager;
  /** Tells the host that it has slept. */
  readonly disruptions?: Disruptions;
}

/** Both halves. */
export interface GuestStack extends AsyncDisposable {
  readonly sandbox: Sandbox;
  readonly backend: GuestBackend;
  readonly address: VsockAddress;
  readonly home: string;
  /** The guest's connections so far; closing one is the loss of the tunnel. */
  readonly conns: readonly Conn[];
  /** Starts an agent in this process; its `stop` kills it without a word to the host. */
  startAgent(): { readonly ended: Promise<void>; stop(): Promise<void> };
}

/** Starts the host's half; the guest's is started by the test. */
export async function startGuestStack(options: GuestStackOptions = {}): Promise<GuestStack> {
  const sandbox = await startSandbox(options.sandbox);
  const home = await Deno.makeTempDir({ prefix: "awsocks-guest-" });
  const address: VsockAddress = { kind: "unix", path: `${home}/vsock`, port: 5000 };
  const listener: VsockListener = await listenVsock(address);
  const conns: Conn[] = [];
  const credentials = (options.credentials ?? (({ credentials }) => fixedCredentials(credentials)))(
    sandbox,
  );
  const backend = createGuestBackend({
    settings: {
      ...(options.settings?.name === undefined && { instanceId: sandbox.instanceId }),
      sshUser: sandbox.sshUser,
      sshKey: sandbox.sshKeyPath,
      remotePort: 22,
      autoStart: false,
      autoStop: false,
      compression: true,
      connectTimeout: 20,
      endpoints: {},
      knownHosts: `${home}/known_hosts`,
      ...options.settings,
    },
    region: sandbox.region,
    credentials,
    accept: async ({ signal }) => {
      const conn = await listener.accept({ signal });
      conns.push(conn);
      return conn;
    },
    env: { HOME: home, ...sandbox.env },
    home,
    trustedHostsFile: `${home}/trusted_hosts`,
    guestLog: { level: "debug" },
    ...(options.disruptions && { disruptions: options.disruptions }),
  });
  const agents: { stop(): Promise<void> }[] = [];
  return {
    sandbox,
    backend,
    address,
    home,
    conns,
    startAgent() {
      const controller = new AbortController();
      const agent = new GuestAgent({
        // What the device of a machine does: the guest's port 5000 is this socket.
        connect: ({ signal }) =>
          connectVsock({ kind: "unix", path: `${home}/vsock_5000` }, { signal }),
        stateDir: home,
        clock: systemClock,
      });
      const ended = agent.run({ signal: controller.signal });
      const stop = () => {
        controller.abort(new AwsocksError("aborted", "The test stops the agent"));
        return ended;
      };
      agents.push({ stop });
      return { ended, stop };
    },
    async [Symbol.asyncDispose]() {
      await backend.close();
      for (const agent of agents) await agent.stop();
      listener.close();
      await credentials.close();
      await sandbox.close();
      await Deno.remove(home, { recursive: true });
    },
  };
}

/** Body of a page, by HTTP/1.0 over a connection. */
export async function getPage(conn: Conn, host: string, path = "/"): Promise<Uint8Array> {
  await writeAll(conn, new TextEncoder().encode(`GET ${path} HTTP/1.0\r\nHost: ${host}\r\n\r\n`));
  const answer = await readAll(conn);
  conn.close();
  const text = new TextDecoder("latin1").decode(answer);
  return answer.subarray(text.indexOf("\r\n\r\n") + 4);
}

/** The private web site of the sandbox. */
export const SITE: Target = { host: "hello.sandbox.internal", port: 80 };

/** Other credentials, for tests of replacing them. */
export function otherKey(credentials: Credentials): Credentials {
  return { ...credentials, accessKeyId: `${credentials.accessKeyId.slice(0, -4)}NEWX` };
}
