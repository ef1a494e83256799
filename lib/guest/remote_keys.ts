/**
 * SSH keys and known hosts of the host, as the guest's SSH uses them. The private keys and the files stay
 * there.
 *
 * @module
 */

import type { SshServer } from "../backend/mod.ts";
import type { HostServices, PublicIdentity } from "../protocol/mod.ts";
import type { HostKeyVerifier, Identity } from "../ssh/mod.ts";

/** The identities of the host's user, in the order in which to try them. */
export async function remoteIdentities(
  host: HostServices,
  options: { readonly signal: AbortSignal },
): Promise<readonly Identity[]> {
  // Nothing of SSH is loaded before it is used.
  const { fingerprint, keyTypeOf } = await import("../ssh/wire.ts");
  const identity = ({ source, label, publicKey: base64 }: PublicIdentity): Identity => {
    const publicKey = Uint8Array.fromBase64(base64);
    return {
      source,
      label,
      publicKey,
      keyType: keyTypeOf(publicKey),
      fingerprint: fingerprint(publicKey),
      async sign(data, { hash, signal } = {}) {
        const signature = await host.sign({
          publicKey: base64,
          data: data.toBase64(),
          ...(hash && { hash }),
        }, { signal });
        return Uint8Array.fromBase64(signature);
      },
    };
  };
  return (await host.identities(undefined, options)).map(identity);
}

/** The host's known hosts files, for one server. */
export function remoteHostKeys(host: HostServices, server: SshServer): HostKeyVerifier {
  const ask = (publicKey: Uint8Array, remember: boolean) =>
    host.hostKey({ ...server, publicKey: publicKey.toBase64(), remember }, {});
  return {
    knownTypes: () => host.hostKeyTypes(server, {}),
    verify: ({ publicKey }) => ask(publicKey, false),
    remember: ({ publicKey }) => ask(publicKey, true),
  };
}
