/**
 * Puts the proxy together from settings: credentials, backend, router, manager.
 *
 * @module
 */

import type { AwsNetwork } from "../aws/mod.ts";
import { type Backend, type BackendPrompts, createAwsBackend } from "../backend/mod.ts";
import { INSTANCE_CONNECT, type Settings } from "../config/mod.ts";
import { createCredentials, type CredentialManager, resolveRegion } from "../credentials/mod.ts";
import { AwsocksError, isAwsocksError } from "../core/errors.ts";
import { createManager, type Manager } from "../proxy/mod.ts";
import { createRouter } from "../routing/mod.ts";
import type { App } from "./app.ts";
import { BackendProgress } from "./progress.ts";
import { homeOf } from "./settings.ts";
import type { Environment } from "./terminal.ts";

/** What the proxy is made of. */
export interface ProxyOptions {
  readonly settings: Settings;
  readonly env: Environment;
  /** Credentials to use; default those of the AWS chain. */
  readonly credentials?: CredentialManager | undefined;
  /** File of trusted host keys; default the user's. */
  readonly trustedHostsFile?: string | undefined;
  /** Where a virtual machine finds the data channels of an AWS on this machine. */
  readonly streamEndpoint?: string | undefined;
}

/** A proxy that is ready to be started. It is among the app's closers already. */
export interface Proxy {
  readonly manager: Manager;
  readonly backend: Backend;
  readonly region: string;
  readonly progress: BackendProgress;
  /** Begins what takes long and touches no AWS: the virtual machine boots. */
  warmUp(): void;
}

/**
 * Puts the proxy together; nothing listens and nothing is sent yet.
 * @throws AwsocksError `usage` without a region, `ssh-key-missing`; for VM mode `vm-unavailable`,
 * `unsupported-platform`
 */
export async function createProxy(app: App, options: ProxyOptions): Promise<Proxy> {
  const { settings, env } = options;
  const { clock } = app;
  if (settings.backend !== "port") await checkKey(settings.sshKey);
  const home = homeOf(env);
  const region = await regionOf(settings, env);
  const network = networkOf(env);
  const credentials = options.credentials ?? createCredentials({
    profile: settings.awsProfile,
    region,
    stsEndpoint: settings.endpoints.sts,
    fetch: async (url, init) => (await network.open()).fetch(url.href, init),
    mfaCode: app.prompter.available ? (serial) => askMfaCode(app, serial) : undefined,
    env,
    home,
    clock,
  });
  const progress = new BackendProgress({
    screen: app.screen,
    clock,
    isTerminal: app.terminal.stderr.isTerminal,
  });
  const parts = {
    settings,
    region,
    credentials,
    prompts: app.prompter.available ? promptsOf(app) : {},
    onProgress: progress.show,
    env,
  };
  const { trustedHostsFile } = options;
  const vm = settings.mode === "vm"
    ? await (await import("./vm.ts")).createVmBackend(app, {
      ...parts,
      home,
      trustedHostsFile,
      streamEndpoint: options.streamEndpoint,
    })
    : undefined;
  const backend = vm ?? createAwsBackend({
    ...parts,
    network: network.open,
    clock,
    ...(home === undefined ? {} : { home }),
    ...(trustedHostsFile === undefined ? {} : { trustedHostsFile }),
  });
  progress.watch(backend);
  const manager = createManager({
    listen: settings.listen,
    auth: authOf(settings),
    allowOpen: settings.allowOpen,
    maxConnections: settings.maxConnections,
    router: createRouter(settings.routing),
    backend,
    vmDirect: vm?.vmDirect,
    mode: settings.mode,
    lazy: settings.lazy,
    lazyUntilReady: settings.lazyUntilReady,
    fallback: settings.fallback,
    connectTimeout: settings.connectTimeout * 1000,
    clock,
  });
  app.closers.push(
    () => network.close(),
    () => credentials.close(),
    () => manager.close(),
    () => progress.clear(),
  );
  return {
    manager,
    backend,
    region,
    progress,
    // What fails is logged by the backend, which goes on trying.
    warmUp: () => void vm?.vmDirect.start({ signal: app.lifetime.signal }).catch(() => {}),
  };
}

/** The way out to AWS, with its proxy and certificates; made on first use, shared by all that goes there. */
function networkOf(env: Environment) {
  let opened: Promise<AwsNetwork> | undefined;
  return {
    open: () =>
      opened ??= import("../aws/mod.ts").then(({ createNetwork }) => createNetwork({ env })),
    close: async () => (await opened)?.close(),
  };
}

function authOf({ proxyUser: user, proxyPassword: password }: Settings) {
  return user === undefined || password === undefined ? undefined : { user, password };
}

/** A key that is not there would otherwise be noticed by the first request only. */
async function checkKey(path: string | undefined): Promise<void> {
  if (path === undefined || path === INSTANCE_CONNECT) return;
  try {
    await Deno.stat(path);
  } catch (error) {
    // What else is wrong with it is said by the room that reads it.
    const { NotFound, NotADirectory } = Deno.errors;
    if (!(error instanceof NotFound || error instanceof NotADirectory)) return;
    throw new AwsocksError("ssh-key-missing", `SSH key ${path} does not exist`, { cause: error });
  }
}

async function regionOf(settings: Settings, env: Environment): Promise<string> {
  const { region, awsProfile } = settings;
  const found = await resolveRegion({ region, profile: awsProfile, env, home: homeOf(env) });
  if (found) return found;
  throw new AwsocksError("usage", "No AWS region is set", {
    hint: "set `region` in the profile, --region or AWS_REGION",
  });
}

async function askMfaCode(app: App, serial: string): Promise<string> {
  const { prompter, lifetime } = app;
  return (await prompter.secret(`MFA code of ${serial}`, { signal: lifetime.signal })).trim();
}

function promptsOf({ prompter, lifetime }: App): BackendPrompts {
  const answered = new Set<string>();
  return {
    passphrase: async (path) => {
      const label = `Passphrase of ${path}${answered.has(path) ? " (that was not it)" : ""}`;
      try {
        const passphrase = await prompter.secret(label, { signal: lifetime.signal });
        answered.add(path);
        return passphrase;
      } catch (error) {
        if (isAwsocksError(error, "aborted")) return undefined;
        throw error;
      }
    },
    chooseInstance: async (instances, { signal }) => {
      const choices = instances.map(({ id, name, state, privateIp, availabilityZone }) => ({
        label: id,
        detail: [name, state, privateIp, availabilityZone].filter(Boolean).join(" · "),
      }));
      const index = await prompter.select("Instance", choices, {
        signal: signal ? AbortSignal.any([signal, lifetime.signal]) : lifetime.signal,
      });
      return instances[index]!;
    },
  };
}
