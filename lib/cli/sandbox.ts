/**
 * A sandbox in this process, and what makes the proxy use it in place of AWS. Loaded when asked for.
 *
 * @module
 */

import { join } from "node:path";
import { type CredentialManager, fixedCredentials } from "../credentials/mod.ts";
import { parseSandboxFlags, type Sandbox, startSandbox } from "../sandbox/mod.ts";
import type { App } from "./app.ts";
import type { KeyValues } from "./settings.ts";
import type { Environment } from "./terminal.ts";

/** How the sandbox shall be. */
export interface SandboxRequest {
  /** Switches as text. */
  readonly switches?: string | undefined;
  /** `host:port` of a real sshd. */
  readonly sshd?: string | undefined;
  /** Port of the API. */
  readonly port?: number | undefined;
}

/** A running sandbox and the way to it. */
export interface OpenSandbox {
  readonly sandbox: Sandbox;
  /** The environment with the sandbox's AWS in place of the user's. */
  readonly env: Environment;
  /** Adds what leads to the sandbox's instance to settings; those that are given stay. */
  readonly fill: (values: KeyValues) => KeyValues;
  readonly proxy: {
    readonly credentials: CredentialManager;
    readonly trustedHostsFile: string;
    readonly streamEndpoint: string;
  };
}

/**
 * Starts a sandbox; it is closed with the app.
 * @throws AwsocksError `usage` for switches that make no sense
 */
export async function openSandbox(app: App, request: SandboxRequest = {}): Promise<OpenSandbox> {
  const { switches = "", sshd, port } = request;
  const sandbox = await startSandbox({
    ...parseSandboxFlags(switches),
    ...(sshd === undefined ? {} : { sshd }),
    ...(port === undefined ? {} : { port }),
    clock: app.clock,
  });
  app.closers.push(() => sandbox.close());
  // Host keys of a sandbox are new each time; the user's files must not collect them.
  const state = await Deno.makeTempDir({ prefix: "awsocks-" });
  app.closers.push(() => Deno.remove(state, { recursive: true }));
  return {
    sandbox,
    env: { ...withoutAws(app.terminal.env), ...sandbox.env },
    fill: (values) => ({
      ...(values["instance-id"] === undefined && values["name"] === undefined
        ? values["instances"] === "all"
          ? { "name": sandbox.name }
          : { "instance-id": sandbox.instanceId }
        : {}),
      "region": sandbox.region,
      "ssh-user": sandbox.sshUser,
      "ssh-key": sandbox.sshKeyPath,
      "known-hosts": join(state, "known_hosts"),
      // Nobody has to log in to a sandbox, and its names must not be looked for elsewhere.
      "lazy-until-ready": "wait",
      ...values,
    }),
    proxy: {
      credentials: fixedCredentials(sandbox.credentials),
      trustedHostsFile: join(state, "trusted_hosts"),
      streamEndpoint: sandbox.gateway,
    },
  };
}

/** Neither the user's AWS set-up nor their keys have a say in a sandbox. */
function withoutAws(env: Environment): Environment {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !/^(AWS_|SSH_)/.test(name)));
}
