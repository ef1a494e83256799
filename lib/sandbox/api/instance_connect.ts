/**
 * The sandbox's EC2 Instance Connect: JSON 1.1, the call that lets a key in for a minute.
 *
 * @module
 */

import type { Fleet } from "../fleet.ts";
import { ApiFault } from "./fault.ts";
import { type Json, optional, text } from "./json.ts";

/** What the call works on. */
export interface InstanceConnectContext {
  readonly fleet: Fleet;
  /** Lets a public key, a line as in `authorized_keys`, log in as a user for a minute. */
  readonly pushKey: (instanceId: string, user: string, publicKey: string) => void;
}

type Operation = (context: InstanceConnectContext, input: Json) => Json;

const MAX_KEY = 4096;
const USER = /^[A-Za-z_][A-Za-z0-9@._-]{0,30}[A-Za-z0-9$_-]?$/;
const KEY_TYPE =
  /^(?:ssh-rsa|ssh-ed25519|ecdsa-sha2-nistp(?:256|384|521)) [A-Za-z0-9+/]+={0,2}(?: |$)/;

/** The calls, by the name behind `AWSEC2InstanceConnectService.` in the header `X-Amz-Target`. */
export const INSTANCE_CONNECT_OPERATIONS: Readonly<Record<string, Operation>> = {
  SendSSHPublicKey({ fleet, pushKey }, input) {
    const instanceId = text(input, "InstanceId", 10, 32);
    const user = text(input, "InstanceOSUser", 1, 32);
    const publicKey = text(input, "SSHPublicKey", 80, MAX_KEY);
    optional(input, "AvailabilityZone", 6, 32);
    if (!USER.test(user)) throw new ApiFault("InvalidArgsException", "Invalid OS user name");
    if (!KEY_TYPE.test(publicKey)) {
      throw new ApiFault("InvalidArgsException", "Supported key types: RSA, ED25519 and ECDSA");
    }
    const instance = fleet.get(instanceId);
    if (!instance) {
      throw new ApiFault("EC2InstanceNotFoundException", `Instance not found: ${instanceId}`);
    }
    if (instance.state !== "running") {
      throw new ApiFault(
        "EC2InstanceStateInvalidException",
        "Unable to connect because the instance is not in a valid state to connect",
      );
    }
    pushKey(instanceId, user, publicKey);
    return { Success: true };
  },
};
