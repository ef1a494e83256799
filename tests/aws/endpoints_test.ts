import assert from "node:assert/strict";
import fc from "fast-check";
import { endpointFor, overrideStreamUrl, partitionOf, PARTITIONS } from "../../lib/aws/mod.ts";
import type { AwsService, EndpointOptions } from "../../lib/aws/mod.ts";
import { isAwsocksError } from "../../lib/core/mod.ts";
import type { Endpoints } from "../../lib/config/settings.ts";

Deno.test.each([
  ["ssm", "eu-west-1", "https://ssm.eu-west-1.amazonaws.com"],
  ["ec2", "us-east-1", "https://ec2.us-east-1.amazonaws.com"],
  ["sts", "ap-southeast-7", "https://sts.ap-southeast-7.amazonaws.com"],
  ["ssmmessages", "mx-central-1", "https://ssmmessages.mx-central-1.amazonaws.com"],
  [
    "ec2-instance-connect",
    "eu-central-1",
    "https://ec2-instance-connect.eu-central-1.amazonaws.com",
  ],
  ["ssm", "cn-northwest-1", "https://ssm.cn-northwest-1.amazonaws.com.cn"],
  ["ssm", "us-gov-west-1", "https://ssm.us-gov-west-1.amazonaws.com"],
  ["ssm", "us-iso-east-1", "https://ssm.us-iso-east-1.c2s.ic.gov"],
  ["ssm", "us-isob-east-1", "https://ssm.us-isob-east-1.sc2s.sgov.gov"],
  ["ssm", "eu-isoe-west-1", "https://ssm.eu-isoe-west-1.cloud.adc-e.uk"],
  ["ssm", "us-isof-south-1", "https://ssm.us-isof-south-1.csp.hci.ic.gov"],
  ["ssm", "eusc-de-east-1", "https://ssm.eusc-de-east-1.amazonaws.eu"],
  ["ssm", "eu-east-9", "https://ssm.eu-east-9.amazonaws.com"],
] as [AwsService, string, string][])(
  "endpointFor(%s, %s) is %s",
  async (service, region, expected) => assert.equal(await endpointFor(service, region), expected),
);

Deno.test("every known region belongs to its own partition", () => {
  for (const partition of PARTITIONS) {
    for (const region of [...partition.regions, ...partition.optInRegions ?? []]) {
      assert.equal(partitionOf(region).name, partition.name, region);
    }
  }
});

Deno.test.each([
  ["ssm", {}, "https://profile.test:1"],
  ["ssm", { AWS_ENDPOINT_URL: "http://all.test:2" }, "http://all.test:2"],
  [
    "ssm",
    { AWS_ENDPOINT_URL: "http://all.test:2", AWS_ENDPOINT_URL_SSM: "http://ssm.test" },
    "http://ssm.test",
  ],
  ["ssm", { AWS_ENDPOINT_URL_SSM: "", AWS_ENDPOINT_URL: " " }, "https://profile.test:1"],
  ["ssm", { AWS_ENDPOINT_URL_SSM: "https://host/base//" }, "https://host/base"],
  ["ec2", { AWS_ENDPOINT_URL_SSM: "http://ssm.test" }, "https://ec2.eu-west-1.amazonaws.com"],
  [
    "ssmmessages",
    { AWS_ENDPOINT_URL: "http://all.test:2" },
    "https://ssmmessages.eu-west-1.amazonaws.com",
  ],
  [
    "ec2-instance-connect",
    { AWS_ENDPOINT_URL_EC2_INSTANCE_CONNECT: "http://c.test" },
    "http://c.test",
  ],
] as [AwsService, Record<string, string>, string][])(
  "endpointFor(%s) with %j is %s",
  async (service, env, expected) => {
    const endpoints: Endpoints = { ssm: "https://profile.test:1/" };
    assert.equal(await endpointFor(service, "eu-west-1", { env, endpoints }), expected);
  },
);

Deno.test.each([
  ["localhost:4566", /absolute/],
  ["ws://localhost", /absolute/],
  ["http://jane:hunter2@host", /user name or password/],
  ["http://host/?a=b", /query/],
  ["nonsense", /absolute/],
] as [string, RegExp][])("endpointFor() refuses the override %s", async (value, why) => {
  await assert.rejects(endpointFor("ssm", "eu-west-1", { env: { AWS_ENDPOINT_URL_SSM: value } }), (
    error,
  ) => {
    assert(isAwsocksError(error, "config-invalid"));
    assert.match(error.message, /^AWS_ENDPOINT_URL_SSM cannot be used/);
    assert.match(error.message, why);
    assert.doesNotMatch(error.message, /hunter2/);
    return true;
  });
});

Deno.test.each([
  ["", "No AWS region is set"],
  ["eu-west", '"eu-west" is not an AWS region; the nearest is eu-west-1'],
  ["EU-WEST-1", '"EU-WEST-1" is not an AWS region; the nearest is eu-west-1'],
  ["eu-central1", '"eu-central1" is not an AWS region; the nearest is eu-central-1'],
  ["us-gov-west1", '"us-gov-west1" is not an AWS region; the nearest is us-gov-west-1'],
  ["eu-west-1a", '"eu-west-1a" is not an AWS region; the nearest is eu-west-1'],
  ["Frankfurt", '"Frankfurt" is not an AWS region'],
  ["eu-west-1.evil.test/", '"eu-west-1.evil.test/" is not an AWS region'],
])("endpointFor() refuses the region %s", async (region, message) => {
  await assert.rejects(
    endpointFor("ssm", region),
    (error) => isAwsocksError(error, "aws-region-invalid") && error.message === message,
  );
});

const STREAM = "wss://ssmmessages.eu-west-1.amazonaws.com/v1/data-channel/jane-0f1e2d3c" +
  "?role=publish_subscribe&cell-number=AAEA+/x9Gq7Y==";
const REST = STREAM.slice("wss://ssmmessages.eu-west-1.amazonaws.com".length);

Deno.test.each([
  ["nothing", {}, "wss://ssmmessages.eu-west-1.amazonaws.com"],
  [
    "the general variable",
    { env: { AWS_ENDPOINT_URL: "http://127.0.0.1:1" } },
    "wss://ssmmessages.eu-west-1.amazonaws.com",
  ],
  [
    "its own variable",
    { env: { AWS_ENDPOINT_URL_SSMMESSAGES: "http://127.0.0.1:81" } },
    "ws://127.0.0.1:81",
  ],
  ["a wss: URL", { endpoints: { ssmmessages: "wss://vpce-1.example/" } }, "wss://vpce-1.example"],
  [
    "an https: URL",
    { endpoints: { ssmmessages: "https://vpce-1.example:8443" } },
    "wss://vpce-1.example:8443",
  ],
] as [string, EndpointOptions, string][])(
  "overrideStreamUrl() with %s keeps path and query",
  (_name, options, origin) => assert.equal(overrideStreamUrl(STREAM, options), origin + REST),
);

Deno.test("overrideStreamUrl() touches nothing behind the host", () => {
  const options = { endpoints: { ssmmessages: "wss://gw.test:9" } };
  fc.assert(fc.property(fc.string(), (rest) => {
    const url = `wss://a.b/${rest}`;
    assert.equal(overrideStreamUrl(url, options), `wss://gw.test:9/${rest}`);
  }));
});

Deno.test("overrideStreamUrl() refuses an override with a path", () => {
  assert.throws(
    () => overrideStreamUrl(STREAM, { endpoints: { ssmmessages: "wss://gw.test/prefix" } }),
    (error) =>
      isAwsocksError(error, "config-invalid") && /endpoints\.ssmmessages/.test(error.message),
  );
});
