/**
 * The AWS side in a virtual machine: image, machine, and the backend at this end of its tunnel. Loaded
 * when VM mode is asked for.
 *
 * @module
 */

import type { Backend, BackendPrompts } from "../backend/mod.ts";
import { createGuestBackend } from "../backend/guest_backend.ts";
import type { Settings } from "../config/mod.ts";
import type { CredentialManager } from "../credentials/mod.ts";
import { AwsocksError } from "../core/errors.ts";
import { createGuestLink, createQemuMachine, findGuestImage, imageFolders } from "../vm/mod.ts";
import type { App } from "./app.ts";
import { endpointsForGuest, environmentForGuest } from "./guest_view.ts";
import type { Environment } from "./terminal.ts";

/** Context id of the host, as guests know it. */
const HOST_CID = 2;

/** Milliseconds for a machine to boot, with both ways to do so, and for its guest to connect. */
const READY_LIMIT = 180_000;

/** What the backend is made of. */
export interface VmBackendOptions {
  readonly settings: Settings;
  readonly region: string;
  readonly credentials: CredentialManager;
  readonly prompts: BackendPrompts;
  readonly env: Environment;
  readonly home: string | undefined;
  readonly trustedHostsFile: string | undefined;
  /** Where data channels connect to, when StartSession names an address that only this machine has. */
  readonly streamEndpoint: string | undefined;
  readonly onProgress: (text: string) => void;
}

/** A backend whose AWS side is in a machine. */
export interface VmBackend extends Backend {
  /** The machine's own network. */
  readonly vmDirect: Backend;
}

/**
 * Makes the machine and its backend; nothing runs yet. The machine is among the app's closers.
 * @throws AwsocksError `vm-unavailable` when the machine lacks what it takes, `unsupported-platform`
 */
export async function createVmBackend(app: App, options: VmBackendOptions): Promise<VmBackend> {
  if (Deno.build.os !== "linux") {
    throw new AwsocksError("unsupported-platform", "VM mode needs Linux", {
      hint: 'use --mode direct, or remove `mode = "vm"` from the profile',
    });
  }
  const { settings, env, home, region, credentials, prompts, onProgress } = options;
  const { clock } = app;
  const image = await findGuestImage({
    arch: Deno.build.arch,
    folder: settings.guestDir,
    folders: imageFolders({ env, home, program: Deno.execPath() }),
  });
  // The kernel's vsock device has the ports of the whole machine: another awsocks may run on it.
  const port = 49_152 + crypto.getRandomValues(new Uint16Array(1))[0]! % 16_384;
  const machine = await createQemuMachine({
    image,
    memory: settings.vmMemory,
    cpus: settings.vmCpus,
    qemu: settings.qemu,
    vsockDevice: settings.vsockDevice,
    agentArgs: ["--host", `${HOST_CID}:${port}`],
    env,
    clock,
  });
  const link = createGuestLink({ machine, port, clock });
  app.closers.push(() => link.close());
  const { ssmmessages = options.streamEndpoint, ...endpoints } = settings.endpoints;
  const { level, rooms } = app.command.log;
  return createGuestBackend({
    accept: (acceptOptions) => link.accept(acceptOptions),
    readyLimit: READY_LIMIT,
    settings,
    region,
    credentials,
    prompts,
    env,
    guestEnv: environmentForGuest(env),
    guestEndpoints: endpointsForGuest(
      ssmmessages === undefined ? endpoints : { ...endpoints, ssmmessages },
    ),
    guestLog: { level, rooms },
    onProgress,
    clock,
    ...(home === undefined ? {} : { home }),
    ...(options.trustedHostsFile === undefined
      ? {}
      : { trustedHostsFile: options.trustedHostsFile }),
  });
}
