/**
 * The AWS side of a backend: clients, instance, keys and host keys. Loaded on first use.
 *
 * @module
 */

import { type AwsNetwork, createAwsClient } from "../aws/mod.ts";
import { type Clock, isAwsocksError } from "../core/mod.ts";
import { createEc2Client, sendSshPublicKey } from "../ec2/mod.ts";
import { createHostKeyVerifier, findIdentities, ownKnownHostsFile } from "../ssh/mod.ts";
import { SsmClient } from "../ssm/client.ts";
import { createSocketConnector } from "../ssm/mod.ts";
import type { AwsBackendOptions, Parts, SshServer } from "./aws_backend.ts";
import { isAboutDestination } from "./failures.ts";
import { InstanceKeeper, type ReadyInstance } from "./instance.ts";
import { openPortSession } from "./port_session.ts";
import { Logins } from "./login.ts";
import { openSshCarrier } from "./ssh_carrier.ts";

/** Makes the parts; nothing is sent yet. */
export function createParts(
  options: Omit<AwsBackendOptions, "network"> & {
    clock: Clock;
    region: string;
    network: AwsNetwork;
  },
): Parts {
  const { settings, region, clock, prompts = {}, credentials, network } = options;
  const env = options.env ?? Deno.env.toObject();
  const home = options.home ?? env.HOME ?? env.USERPROFILE ?? ".";
  const aws = createAwsClient({
    credentials: credentials.source,
    refreshCredentials: (refreshOptions) => credentials.refresh(refreshOptions),
    region,
    network,
    endpoints: settings.endpoints,
    env,
    clock,
  });
  const ssm = new SsmClient(aws);
  const keeper = new InstanceKeeper({
    ec2: createEc2Client(aws),
    ssm,
    instanceId: settings.instanceId,
    name: settings.name,
    autoStart: settings.autoStart,
    autoStop: settings.autoStop,
    choose: prompts.chooseInstance,
    onProgress: options.onProgress,
    clock,
  });
  const connect = createSocketConnector({
    credentials: credentials.source,
    signUpgrade: aws.signUpgrade,
    rewriteUrl: aws.rewriteStreamUrl,
    proxyFor: network.proxyFor,
    caCerts: network.caCerts,
  });
  const logins = new Logins({
    sshKey: settings.sshKey,
    user: settings.sshUser,
    find: options.identities ?? (() =>
      findIdentities({
        explicit: settings.sshKey,
        passphrase: settings.sshKeyPassphrase,
        askPassphrase: prompts.passphrase,
        home,
        agentSocket: env.SSH_AUTH_SOCK,
        clock,
      })),
    push: (request, pushOptions) => sendSshPublicKey(aws, request, pushOptions),
  });
  const hostKeys = options.hostKeys ?? ((server: SshServer) =>
    createHostKeyVerifier({
      ...server,
      ownFile: options.trustedHostsFile ??
        ownKnownHostsFile({ xdgStateHome: env.XDG_STATE_HOME, home }),
      knownHostsFile: settings.knownHosts ?? `${home}/.ssh/known_hosts`,
    }));
  /** What the user may mend while we run is looked at anew. */
  const reconsider = (error: unknown) => {
    if (isAwsocksError(error, "ssh-auth-failed", "ssh-key-passphrase")) logins.forget();
    if (isAwsocksError(error, "instance-not-found", "agent-offline")) keeper.forget();
  };
  const session = { service: ssm, connect, clock, disruptions: options.disruptions };
  /** Where port sessions start: asked for once, and again after a failure that may be its fault. */
  let instance: Promise<ReadyInstance> | undefined;
  const ready = (signal: AbortSignal) => instance ??= keeper.ready(signal);
  return {
    async prepare({ signal }) {
      instance = undefined;
      try {
        await keeper.checkOnline((await ready(signal)).id, signal);
      } catch (error) {
        instance = undefined;
        reconsider(error);
        throw error;
      }
    },
    async openPort(target, { signal }) {
      try {
        return await openPortSession(target, {
          session,
          instance: await ready(signal),
          clock,
          signal,
        });
      } catch (error) {
        if (!isAboutDestination(error)) instance = undefined;
        reconsider(error);
        throw error;
      }
    },
    missingKey: ({ signal }) => logins.missing(signal),
    async openCarrier({ signal }) {
      // Before anything is started at AWS: a missing key is the cheaper failure.
      const login = await logins.prepare(signal);
      try {
        const instance = await keeper.ready(signal);
        return await openSshCarrier({
          session,
          instance,
          port: settings.remotePort,
          user: settings.sshUser,
          identities: () => login.identities(instance.id, { signal }),
          hostKeys: hostKeys({ instanceId: instance.id, port: settings.remotePort }),
          compression: settings.compression,
          clock,
          signal,
        });
      } catch (error) {
        reconsider(error);
        throw login.explain(error);
      }
    },
    close: () => keeper.release(),
  };
}
