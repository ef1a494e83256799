import assert from "node:assert/strict";
import { type ErrorCode, isAwsocksError } from "../../lib/core/mod.ts";
import { sendSshPublicKey } from "../../lib/ec2/mod.ts";
import { clientOf } from "../aws/client_peer.ts";

const REQUEST = {
  instanceId: "i-0f1e2d3c4b5a69788",
  user: "ec2-user",
  publicKey: "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA",
};

Deno.test("sendSshPublicKey() sends what the service documents", async () => {
  await using peer = clientOf(() => Response.json({ RequestId: "1", Success: true }));
  await sendSshPublicKey(peer.client, REQUEST);
  await sendSshPublicKey(peer.client, { ...REQUEST, availabilityZone: "eu-west-1b" });
  const [plain, placed] = peer.server.requests;
  assert.equal(
    plain!.headers.get("x-amz-target"),
    "AWSEC2InstanceConnectService.SendSSHPublicKey",
  );
  assert.equal(plain!.headers.get("content-type"), "application/x-amz-json-1.1");
  assert.match(plain!.headers.get("authorization")!, /\/ec2-instance-connect\/aws4_request/);
  const input = {
    InstanceId: REQUEST.instanceId,
    InstanceOSUser: "ec2-user",
    SSHPublicKey: REQUEST.publicKey,
  };
  assert.deepEqual(JSON.parse(plain!.body), input);
  assert.deepEqual(JSON.parse(placed!.body), { ...input, AvailabilityZone: "eu-west-1b" });
});

const REFUSALS: readonly [code: string, expected: ErrorCode][] = [
  ["AccessDeniedException", "aws-access-denied"],
  ["AuthException", "aws-access-denied"],
  ["EC2InstanceNotFoundException", "instance-not-found"],
  ["EC2InstanceStateInvalidException", "instance-stopped"],
  ["EC2InstanceTypeInvalidException", "aws-request-failed"],
  ["InvalidArgsException", "aws-request-failed"],
];

Deno.test("sendSshPublicKey() says why a key was not taken", async () => {
  for (const [code, expected] of REFUSALS) {
    await using peer = clientOf(() =>
      Response.json({ __type: code, Message: "No" }, { status: 400 })
    );
    await assert.rejects(sendSshPublicKey(peer.client, REQUEST), (error: unknown) => {
      assert.ok(isAwsocksError(error, expected), `${code}: ${error}`);
      if (expected !== "aws-access-denied") return true;
      assert.equal(
        error.hint,
        "the caller's IAM policy needs ec2-instance-connect:SendSSHPublicKey",
      );
      return true;
    });
  }
  await using peer = clientOf(() => Response.json({ RequestId: "1", Success: false }));
  await assert.rejects(
    sendSshPublicKey(peer.client, REQUEST),
    (error: unknown) => isAwsocksError(error, "aws-request-failed"),
  );
});
