import assert from "node:assert/strict";
import fc from "fast-check";
import { signRequest } from "../../lib/aws/mod.ts";
import { expectedAuthorization } from "./independent_signer.ts";

const NOW = Date.UTC(2025, 2, 14, 15, 9, 26);
const LONG_LIVED = { accessKeyId: "AKIDEXAMPLE", secretAccessKey: "wJalrXUtnFEMI/K7MDENG+bPxRfi" };
const TEMPORARY = { ...LONG_LIVED, accessKeyId: "ASIDEXAMPLE", sessionToken: "FwoGZXIvYXdz//+==" };

Deno.test("signRequest() signs a JSON call as AWS's signer does", async () => {
  const request = {
    method: "POST",
    url: "https://ssm.eu-west-1.amazonaws.com/",
    headers: {
      "content-type": "application/x-amz-json-1.1",
      "x-amz-target": "AmazonSSM.StartSession",
    },
    body: '{"Target":"i-0123456789abcdef0"}',
  };
  const scope = { service: "ssm", region: "eu-west-1", credentials: TEMPORARY, now: NOW };
  const headers = await signRequest({ ...request, ...scope });
  assert.equal(headers.get("authorization"), await expectedAuthorization(request, scope));
  assert.match(
    headers.get("authorization")!,
    /SignedHeaders=content-type;host;x-amz-date;x-amz-security-token;x-amz-target,/,
  );
  assert.equal(headers.get("x-amz-date"), "20250314T150926Z");
  assert.equal(headers.get("x-amz-security-token"), TEMPORARY.sessionToken);
  assert.equal(headers.get("x-amz-target"), "AmazonSSM.StartSession");
});

Deno.test("signRequest() keeps headers that may change on the way out of the signature", async () => {
  const headers = await signRequest({
    method: "POST",
    url: "https://ec2.us-east-1.amazonaws.com/",
    headers: { "user-agent": "awsocks/1", "x-amzn-trace-id": "Root=1" },
    body: "Action=DescribeInstances",
    service: "ec2",
    region: "us-east-1",
    credentials: LONG_LIVED,
    now: NOW,
  });
  assert.equal(headers.get("user-agent"), "awsocks/1");
  assert.match(headers.get("authorization")!, /SignedHeaders=host;x-amz-date,/);
  assert.equal(headers.has("x-amz-security-token"), false);
});

Deno.test("signRequest() signs a WebSocket upgrade as its https twin", async () => {
  const rest = "//ssmmessages.eu-west-1.amazonaws.com/v1/data-channel/" +
    "jane.doe@example.com-0f1e2d3c4b5a69788?role=publish_subscribe" +
    "&cell-number=AAEAAQ+/x9Gq7Yw3+nT/uR0aW5nIGNlbGw==";
  const scope = { service: "ssmmessages", region: "eu-west-1", credentials: TEMPORARY, now: NOW };
  const headers = await signRequest({ method: "GET", url: `wss:${rest}`, ...scope });
  assert.equal(
    headers.get("authorization"),
    await expectedAuthorization({ method: "GET", url: `https:${rest}`, headers: {} }, scope),
  );
});

Deno.test("signRequest() reads a raw plus in a query as a space, as Go's signer does", async () => {
  const sign = async (query: string) => {
    const headers = await signRequest({
      method: "GET",
      url: `wss://ssmmessages.eu-west-1.amazonaws.com/v1/data-channel/s-1?cell-number=${query}`,
      service: "ssmmessages",
      region: "eu-west-1",
      credentials: LONG_LIVED,
      now: NOW,
    });
    return headers.get("authorization");
  };
  assert.equal(await sign("a+b/c=="), await sign("a%20b%2Fc%3D%3D"));
  assert.notEqual(await sign("a+b/c=="), await sign("a%2Bb%2Fc%3D%3D"));
});

Deno.test("signRequest() signs the port unless it is the scheme's own", async () => {
  const scope = { service: "ssmmessages", region: "eu-west-1", credentials: LONG_LIVED, now: NOW };
  const sign = async (url: string) =>
    (await signRequest({ method: "GET", url, ...scope })).get("authorization");
  for (const port of ["", ":443", ":8443"]) {
    const expected = await expectedAuthorization(
      { method: "GET", url: `https://gw.internal${port}/x`, headers: {} },
      scope,
    );
    assert.equal(await sign(`wss://gw.internal${port}/x`), expected, port);
  }
  assert.equal(await sign("wss://gw.internal:443/x"), await sign("wss://gw.internal/x"));
  assert.notEqual(await sign("wss://gw.internal:8443/x"), await sign("wss://gw.internal/x"));
  assert.equal(await sign("ws://gw.internal:80/x"), await sign("ws://gw.internal/x"));
});

Deno.test("signRequest() agrees with AWS's signer on any request", async () => {
  // AWS's signer loses a parameter of this name.
  const word = fc.string({ unit: "grapheme", minLength: 1, maxLength: 12 })
    .filter((text) => text !== "__proto__");
  const query = fc.array(fc.tuple(word, fc.string({ unit: "grapheme", maxLength: 20 })));
  const segment = fc.stringMatching(/^[A-Za-z0-9@:+=,._~$&'()*! -]{1,12}$/)
    .filter((text) => !/^\.{1,2}$/.test(text.trim()));
  const headerValue = fc.stringMatching(/^[!-~]( ?[!-~]){0,20}$/);
  const request = fc.record({
    method: fc.constantFrom("GET", "POST", "PUT"),
    segments: fc.array(segment, { maxLength: 4 }),
    query,
    header: headerValue,
    body: fc.option(fc.string({ unit: "grapheme" }), { nil: undefined }),
    credentials: fc.constantFrom(LONG_LIVED, TEMPORARY),
  });
  await fc.assert(
    fc.asyncProperty(request, async ({ segments, query, header, body, credentials, method }) => {
      const url = new URL(`https://ssm.eu-west-1.amazonaws.com/${segments.join("/")}`);
      for (const [name, value] of query) url.searchParams.append(name, value);
      const wire = {
        method,
        url: url.href,
        headers: { "x-amz-target": header },
        ...(body !== undefined && { body }),
      };
      const scope = { service: "ssm", region: "eu-west-1", credentials, now: NOW };
      const headers = await signRequest({ ...wire, ...scope });
      assert.equal(headers.get("authorization"), await expectedAuthorization(wire, scope));
    }),
    { numRuns: 300 },
  );
});
