import assert from "node:assert/strict";
import { featuresOf } from "../../lib/sandbox/agent/features.ts";
import { checkForwardTarget } from "../../lib/sandbox/agent/forward_target.ts";

const NEW = "3.3.1142.0";

Deno.test("an agent multiplexes and keeps alive by the client's version", () => {
  const rows: [client: string, multiplexes: boolean, keepAlive: boolean][] = [
    ["1.0.0", false, true],
    ["1.1.70", true, true],
    ["1.2.0.0", true, true],
    ["1.2.331", true, true],
    ["1.2.331.0", true, true],
    ["1.2.332", true, false],
    ["1.2.707.0", true, false],
    ["2.0.0", true, false],
    ["awsocks", true, false],
  ];
  for (const [client, multiplexes, keepAlive] of rows) {
    const features = featuresOf(NEW, client);
    assert.equal(features.multiplexes, multiplexes, client);
    if (multiplexes) assert.equal(features.keepAlive, keepAlive, client);
  }
});

Deno.test("an agent's own version decides what it can do", () => {
  const features = (agent: string) => Object.values(featuresOf(agent, "1.2.707.0"));
  //                          multiplexes, keepAlive, forwardsToHosts, deniesAddresses
  assert.deepEqual(features("3.0.196.0"), [false, true, false, false]);
  assert.deepEqual(features("3.0.222.0"), [true, true, false, false]);
  assert.deepEqual(features("3.1.1188.0"), [true, true, true, false]);
  assert.deepEqual(features("3.1.1446.0"), [true, false, true, true]);
  assert.deepEqual(features("3.1.1476.0"), [true, true, true, true]);
  assert.deepEqual(features("3.1.1575.0"), [true, false, true, true]);
});

Deno.test("addresses of the instance's surroundings are refused, whatever leads to them", () => {
  const check = (host: string, addresses: string[], deniesAddresses = true) => () =>
    checkForwardTarget(host, () => addresses, { deniesAddresses });
  const forbidden = (host: string) => ({
    message: `Forwarding to IP address ${host} is forbidden.`,
  });
  for (
    const address of [
      "169.254.169.254",
      "10.0.0.2",
      "10.0.255.255",
      "fd00:ec2:0::253",
      "fd00:ec2::123",
    ]
  ) {
    assert.throws(check(address, [address]), forbidden(address), address);
  }
  assert.throws(check("imds.example", ["10.0.1.10", "169.254.169.254"]), forbidden("imds.example"));
  assert.throws(check("no.example", []), {
    message: "lookup no.example on 10.0.0.2:53: no such host",
  });
  check("10.0.0.4", ["10.0.0.4"])();
  check("169.254.169.254", ["169.254.169.254"], false)();
});
