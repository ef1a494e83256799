/**
 * What the host does for its guest: whatever takes the user's secrets, files or attention.
 *
 * The guest gets credentials, which it needs to sign, and nothing else that could be taken away from
 * it: private keys stay here, and sign logins of the configured user alone.
 *
 * @module
 */

import { AwsocksError, type Clock, type Credentials } from "../core/mod.ts";
import type { CredentialManager } from "../credentials/mod.ts";
import type { Instance } from "../ec2/mod.ts";
import type { HostServices, InstanceChoice } from "../protocol/mod.ts";
import {
  createHostKeyVerifier,
  findIdentities,
  type HostKey,
  type Identity,
  ownKnownHostsFile,
} from "../ssh/mod.ts";
import { fingerprint, keyTypeOf, WireReader } from "../ssh/wire.ts";
import type { AwsBackendSettings, BackendPrompts, SshServer } from "./aws_backend.ts";

/** Options of {@linkcode createGuestServices}. */
export interface GuestServicesOptions {
  readonly settings: AwsBackendSettings;
  readonly credentials: CredentialManager;
  readonly prompts: BackendPrompts;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The user's home directory. */
  readonly home: string;
  /** File that records host keys trusted on first use; default in the XDG state directory. */
  readonly trustedHostsFile?: string | undefined;
  readonly clock: Clock;
  /** Called with credentials that the guest gets. */
  readonly onCredentials: (credentials: Credentials) => void;
}

/** Makes the services; nothing is read before it is asked for. */
export function createGuestServices(options: GuestServicesOptions): HostServices {
  const { settings, credentials, prompts, env, home, clock } = options;
  /** Those that the guest has been told, by their public half in Base64. */
  let known = new Map<string, Identity>();

  const verifier = ({ instanceId, port }: SshServer) =>
    createHostKeyVerifier({
      instanceId,
      port,
      ownFile: options.trustedHostsFile ??
        ownKnownHostsFile({ xdgStateHome: env.XDG_STATE_HOME, home }),
      knownHostsFile: settings.knownHosts ?? `${home}/.ssh/known_hosts`,
      clock,
    });
  return {
    async credentials({ refresh }, { signal }) {
      const given =
        await (refresh
          ? credentials.refresh({ signal })
          : credentials.source(signal ? { signal } : {}));
      options.onCredentials(given);
      return given;
    },
    async identities(_, { signal }) {
      const identities = await findIdentities({
        explicit: settings.sshKey,
        passphrase: settings.sshKeyPassphrase,
        askPassphrase: prompts.passphrase,
        home,
        agentSocket: env.SSH_AUTH_SOCK,
        clock,
        signal,
      });
      known = new Map(identities.map((each) => [each.publicKey.toBase64(), each]));
      return identities.map(({ source, label, publicKey }) => ({
        source,
        label,
        publicKey: publicKey.toBase64(),
      }));
    },
    async sign({ publicKey, data, hash }, { signal }) {
      const identity = known.get(publicKey);
      if (!identity) {
        throw new AwsocksError(
          "ssh-key-missing",
          "The guest asks for a key that it was not told of",
        );
      }
      const request = bytesOf(data);
      checkLogin(request, settings.sshUser);
      return (await identity.sign(request, { hash, signal })).toBase64();
    },
    async hostKeyTypes(server) {
      return await verifier(server).knownTypes();
    },
    async hostKey({ publicKey, remember, ...server }) {
      const key = hostKeyOf(publicKey);
      await verifier(server)[remember ? "remember" : "verify"](key);
    },
    async chooseInstance(choices, { signal }) {
      if (!prompts.chooseInstance) {
        throw new AwsocksError(
          "instance-ambiguous",
          "There is nobody to ask which instance is meant",
        );
      }
      return (await prompts.chooseInstance(choices.map(instanceOf), { signal })).id;
    },
  };
}

/** The states of an instance are known by name here and there. */
function instanceOf({ state, ...rest }: InstanceChoice): Instance {
  return { ...rest, state: state as Instance["state"] };
}

function hostKeyOf(base64: string): HostKey {
  const publicKey = bytesOf(base64);
  try {
    return { publicKey, keyType: keyTypeOf(publicKey), fingerprint: fingerprint(publicKey) };
  } catch (cause) {
    throw new AwsocksError("tunnel-protocol-error", "The guest presents a host key that is none", {
      cause,
    });
  }
}

function bytesOf(base64: string): Uint8Array {
  try {
    return Uint8Array.fromBase64(base64);
  } catch (cause) {
    throw new AwsocksError("tunnel-protocol-error", "The guest sends what is no Base64", { cause });
  }
}

/** SSH_MSG_USERAUTH_REQUEST, RFC 4252 section 6. */
const USERAUTH_REQUEST = 50;

/**
 * Lets pass what an SSH client signs to log in as `user`, RFC 4252 section 7, and nothing else: a guest
 * that was taken over must not get a signature for another purpose.
 * @throws AwsocksError `ssh-key-invalid`
 */
export function checkLogin(data: Uint8Array, user: string): void {
  let login: boolean;
  try {
    const reader = new WireReader(data);
    reader.string(); // session identifier
    login = reader.byte() === USERAUTH_REQUEST && reader.text() === user &&
      reader.text() === "ssh-connection" && reader.text() === "publickey";
  } catch {
    login = false;
  }
  if (login) return;
  throw new AwsocksError(
    "ssh-key-invalid",
    `The guest may sign logins of ${user} and nothing else`,
  );
}
