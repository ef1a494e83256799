import assert from "node:assert/strict";
import fc from "fast-check";
import { isAwsocksError } from "../../lib/core/mod.ts";
import { createEc2Client, type Ec2Client } from "../../lib/ec2/mod.ts";
import { clientOf } from "../aws/client_peer.ts";
import type { Handler, SeenRequest } from "../aws/peers.ts";
import { describeInstancesXml, errorXml, stateChangeXml } from "./answers.ts";

function ec2Of(handler: Handler) {
  const peer = clientOf(handler);
  return {
    ec2: createEc2Client(peer.client),
    requests: peer.server.requests,
    [Symbol.asyncDispose]: () => peer[Symbol.asyncDispose](),
  };
}

const form = ({ body }: SeenRequest) => Object.fromEntries(new URLSearchParams(body));

const ID = "i-0f1e2d3c4b5a69788";

Deno.test("describeInstances() reads what the project needs of an instance", async () => {
  await using peer = ec2Of(() =>
    describeInstancesXml([{ id: ID, state: "stopped", name: "R&D <jump>", reason: "Client.Stop" }])
  );
  assert.deepEqual(await peer.ec2.describeInstances({ instanceIds: [ID] }), [{
    id: ID,
    state: "stopped",
    name: "R&D <jump>",
    privateIp: "10.20.1.17",
    availabilityZone: "eu-west-1b",
    type: "t4g.nano",
    launchTime: Date.UTC(2025, 2, 14, 15, 9, 26),
    platform: "Linux/UNIX",
    stateReason: "Client.Stop",
  }]);
  const { headers } = peer.requests[0]!;
  assert.equal(headers.get("content-type"), "application/x-www-form-urlencoded; charset=utf-8");
  assert.match(headers.get("authorization")!, /\/eu-west-1\/ec2\/aws4_request/);
  assert.deepEqual(form(peer.requests[0]!), {
    Action: "DescribeInstances",
    Version: "2016-11-15",
    "InstanceId.1": ID,
  });
});

Deno.test("describeInstances() leaves out what EC2 does not say", async () => {
  await using peer = ec2Of(() =>
    new Response(`<DescribeInstancesResponse><reservationSet><item><instancesSet>
      <item><instanceId>i-1</instanceId><instanceState><name>hibernating</name></instanceState></item>
      <item><imageId>ami-1</imageId></item>
    </instancesSet></item></reservationSet></DescribeInstancesResponse>`)
  );
  assert.deepEqual(await peer.ec2.describeInstances({}), [{ id: "i-1", state: "unknown" }]);
});

Deno.test("describeInstances() sends filters and follows the pages", async () => {
  const one = { id: "i-1", state: "running", name: "web-1" };
  const two = { id: "i-2", state: "running", name: "web-2" };
  await using peer = ec2Of((_request, index) => {
    if (index === 0) return describeInstancesXml([one], "page/2+=");
    if (index === 1) return describeInstancesXml([], "page3");
    return describeInstancesXml([two]);
  });
  const found = await peer.ec2.describeInstances({
    filters: { "tag:Name": ["web-*"], "instance-state-name": ["running", "stopped"] },
  });
  assert.deepEqual(found.map(({ id }) => id), ["i-1", "i-2"]);
  const base = {
    Action: "DescribeInstances",
    Version: "2016-11-15",
    "Filter.1.Name": "tag:Name",
    "Filter.1.Value.1": "web-*",
    "Filter.2.Name": "instance-state-name",
    "Filter.2.Value.1": "running",
    "Filter.2.Value.2": "stopped",
    MaxResults: "1000",
  };
  assert.deepEqual(peer.requests.map(form), [
    base,
    { ...base, NextToken: "page/2+=" },
    { ...base, NextToken: "page3" },
  ]);
});

Deno.test("describeInstances() ends when the pages do not", async () => {
  await using peer = ec2Of(() => describeInstancesXml([], "again"));
  await assert.rejects(
    peer.ec2.describeInstances({}),
    (error) => isAwsocksError(error, "aws-request-failed") && /come to an end/.test(error.message),
  );
});

Deno.test("describeInstances() names an id that EC2 does not know", async () => {
  await using peer = ec2Of(() =>
    errorXml("InvalidInstanceID.NotFound", `The instance ID '${ID}' does not exist`)
  );
  await assert.rejects(peer.ec2.describeInstances({ instanceIds: [ID] }), (error) => {
    assert(isAwsocksError(error, "instance-not-found"));
    assert.match(error.message, new RegExp(`^There is no instance ${ID} in eu-west-1`));
    return true;
  });
});

Deno.test.each(["startInstances", "stopInstances"] as const)(
  "%s() tells the state before and after",
  async (method) => {
    const operation = method === "startInstances" ? "StartInstances" : "StopInstances";
    await using peer = ec2Of(() =>
      stateChangeXml(operation, [
        { id: "i-1", previous: "stopped", current: "pending" },
        { id: "i-2", previous: "running", current: "running" },
      ])
    );
    assert.deepEqual(await peer.ec2[method](["i-1", "i-2"]), [
      { id: "i-1", previous: "stopped", current: "pending" },
      { id: "i-2", previous: "running", current: "running" },
    ]);
    assert.deepEqual(form(peer.requests[0]!), {
      Action: operation,
      Version: "2016-11-15",
      "InstanceId.1": "i-1",
      "InstanceId.2": "i-2",
    });
  },
);

Deno.test("an answer that is not EC2's is an error, whatever it is", async () => {
  let body = "";
  await using peer = ec2Of(() => new Response(body));
  const whole = await describeInstancesXml([{ id: ID, state: "running", name: "n" }]).text();
  const truncated = fc.nat(whole.trimEnd().length - 1).map((length) => whole.slice(0, length));
  const other = fc.oneof(fc.string(), fc.json(), fc.constant("<A><B/></A>"));
  const describe = (ec2: Ec2Client) => ec2.describeInstances({});
  await fc.assert(
    fc.asyncProperty(fc.oneof(truncated, other), async (text) => {
      body = text;
      await assert.rejects(
        describe(peer.ec2),
        (error) => isAwsocksError(error, "aws-request-failed"),
      );
    }),
    { numRuns: 200 },
  );
});
