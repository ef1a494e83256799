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
import { type AwsBackendOptions, groupName, type Parts, type SshServer } from "./aws_backend.ts";
import { InstanceGroup, type Instances, OneInstance } from "./instances.ts";
import { Openings } from "./openings.ts";
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
  const about = {
    ec2: createEc2Client(aws),
    ssm,
    autoStart: settings.autoStart,
    autoStop: settings.autoStop,
    onProgress: options.onProgress,
    clock,
  };
  const { instanceId, name } = settings;
  const group = groupName(settings);
  const instances: Instances = group === undefined
    ? new OneInstance({ ...about, instanceId, name, choose: prompts.chooseInstance })
    : new InstanceGroup({ ...about, name: group });
  const openings = new Openings({ instances, clock });
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
  const session = {
    service: ssm,
    connect,
    clock,
    disruptions: options.disruptions,
    ...(settings.payloadSize !== undefined && { payloadBytes: settings.payloadSize }),
  };
  return {
    prepare: ({ signal }) => instances.prepare(signal),
    openPort: (target, { signal }) =>
      openings.open({
        open: (instance, options) =>
          openPortSession(target, { session, instance, clock, ...options }),
        silence: (port) => port.silence,
      }, { signal, known: true }),
    missingKey: ({ signal }) => logins.missing(signal),
    async openCarrier({ signal }) {
      // Before anything is started at AWS: a missing key is the cheaper failure.
      const login = await logins.prepare(signal);
      try {
        return await openings.open({
          open: (instance, options) =>
            openSshCarrier({
              session,
              instance,
              port: settings.remotePort,
              user: settings.sshUser,
              identities: () => login.identities(instance.id, options),
              hostKeys: hostKeys({ instanceId: instance.id, port: settings.remotePort }),
              compression: settings.compression,
              clock,
              ...options,
            }),
          silence: (carrier) => carrier.silence,
        }, { signal });
      } catch (error) {
        // What the user may mend while we run is looked at anew.
        if (isAwsocksError(error, "ssh-auth-failed", "ssh-key-passphrase")) logins.forget();
        throw login.explain(error);
      }
    },
    async close() {
      await openings.settled();
      await instances.release();
    },
  };
}
