/**
 * EC2 Instance Connect: lets a public key log in to an instance for a minute.
 * Source: Amazon EC2 Instance Connect API Reference, SendSSHPublicKey.
 *
 * @module
 */

import { type AwsClient, sendJson, unreadableAnswer } from "../aws/mod.ts";
import type { Ec2CallOptions } from "./client.ts";

/** Milliseconds for which the instance takes a key that was pushed. */
export const PUSHED_KEY_LIFETIME = 60_000;

/** The key and where it is to be let in. */
export interface SendSshPublicKeyRequest {
  readonly instanceId: string;
  /** User on the instance that the key may log in as. */
  readonly user: string;
  /** A line as in `authorized_keys`. */
  readonly publicKey: string;
  readonly availabilityZone?: string | undefined;
}

/**
 * Pushes a key. The instance takes it if the package `ec2-instance-connect` is installed there, which
 * the answer does not tell.
 * @throws AwsocksError `aws-access-denied`, `instance-not-found`, `instance-stopped`, `aws-…`
 */
export async function sendSshPublicKey(
  aws: AwsClient,
  { instanceId, user, publicKey, availabilityZone }: SendSshPublicKeyRequest,
  { signal }: Ec2CallOptions = {},
): Promise<void> {
  const call = { service: "ec2-instance-connect", operation: "SendSSHPublicKey" } as const;
  const output = await sendJson(aws, {
    ...call,
    target: "AWSEC2InstanceConnectService",
    subject: instanceId,
    input: {
      InstanceId: instanceId,
      InstanceOSUser: user,
      SSHPublicKey: publicKey,
      ...(availabilityZone && { AvailabilityZone: availabilityZone }),
    },
    signal,
  });
  if (output.Success !== true) {
    throw unreadableAnswer(call, undefined, new Error("it does not say that the key was taken"));
  }
}
