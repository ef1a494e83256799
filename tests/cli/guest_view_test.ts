import assert from "node:assert/strict";
import { endpointsForGuest, environmentForGuest, urlForGuest } from "../../lib/cli/guest_view.ts";

Deno.test("urlForGuest() turns this machine's loopback round, and nothing else", () => {
  const cases = [
    ["http://127.0.0.1:4566", "http://10.0.2.2:4566"],
    ["http://127.8.8.8:1/", "http://10.0.2.2:1/"],
    ["https://localhost:8443/aws", "https://10.0.2.2:8443/aws"],
    ["ws://[::1]:9/v1?x=1", "ws://10.0.2.2:9/v1?x=1"],
    ["http://user:secret@LOCALHOST:3128", "http://user:secret@10.0.2.2:3128"],
    ["https://ssm.eu-central-1.amazonaws.com", "https://ssm.eu-central-1.amazonaws.com"],
    ["http://127.0.0.1.example.com", "http://127.0.0.1.example.com"],
    ["http://localhost.example.com/", "http://localhost.example.com/"],
    ["proxy.example.com:3128", "proxy.example.com:3128"],
    ["", ""],
  ] as const;
  for (const [here, there] of cases) assert.equal(urlForGuest(here), there);
});

Deno.test("environmentForGuest() changes variables with URLs only", () => {
  assert.deepEqual(
    environmentForGuest({
      HTTPS_PROXY: "http://localhost:3128",
      no_proxy: "localhost,.corp.example",
      AWS_ENDPOINT_URL: "http://127.0.0.1:4566",
      AWS_ENDPOINT_URL_SSM: "https://vpce.example.com",
      PATH: "/bin",
      HOME: undefined,
    }),
    {
      HTTPS_PROXY: "http://10.0.2.2:3128",
      no_proxy: "localhost,.corp.example,10.0.2.2",
      AWS_ENDPOINT_URL: "http://10.0.2.2:4566",
      AWS_ENDPOINT_URL_SSM: "https://vpce.example.com",
      PATH: "/bin",
      HOME: undefined,
    },
  );
});

Deno.test("endpointsForGuest() keeps what is not given absent", () => {
  assert.deepEqual(
    endpointsForGuest({ ssm: "http://localhost:1", ec2: "https://ec2.example.com" }),
    {
      ssm: "http://10.0.2.2:1",
      ec2: "https://ec2.example.com",
    },
  );
  assert.deepEqual(endpointsForGuest({}), {});
});
