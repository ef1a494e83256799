import assert from "node:assert/strict";
import {
  ACCOUNT_ID,
  MFA_ROLE_ARN,
  MFA_SERIAL,
  ROLE_ARN,
  type Sandbox,
  type SandboxOptions,
  startSandbox,
} from "../../lib/sandbox/mod.ts";
import { FakeClock, settle } from "../support/fake_clock.ts";
import { type Answer, type CallOverrides, callQuery, callSsm, json, xmlValues } from "./caller.ts";

function sandboxTest(
  name: string,
  work: (sandbox: Sandbox) => Promise<void>,
  options: SandboxOptions = {},
): void {
  Deno.test(name, async () => {
    await using sandbox = await startSandbox({ seed: 1, ...options });
    await work(sandbox);
  });
}

function ssmError(answer: Answer): [status: number, code: unknown, message: unknown] {
  const { __type, message } = json(answer);
  assert.match(answer.headers.get("content-type")!, /^application\/x-amz-json-1.1/);
  assert.ok(answer.headers.get("x-amzn-requestid"));
  return [answer.status, __type, message];
}

function queryError(answer: Answer): [status: number, code?: string, message?: string] {
  return [answer.status, xmlValues(answer, "Code")[0]!, xmlValues(answer, "Message")[0]!];
}

const identity = (sandbox: Sandbox, overrides: CallOverrides = {}) =>
  callQuery(sandbox, "sts", { Action: "GetCallerIdentity" }, overrides);
const describe = (
  sandbox: Sandbox,
  parameters: Record<string, string> = {},
  overrides: CallOverrides = {},
) => callQuery(sandbox, "ec2", { Action: "DescribeInstances", ...parameters }, overrides);
const information = (sandbox: Sandbox, overrides: CallOverrides = {}) =>
  callSsm(sandbox, "DescribeInstanceInformation", {}, overrides);

// --- Signatures

sandboxTest("a correctly signed call of each service is answered", async (sandbox) => {
  assert.equal((await information(sandbox)).status, 200);
  assert.equal((await describe(sandbox)).status, 200);
  const answer = await identity(sandbox);
  assert.equal(answer.status, 200);
  assert.deepEqual(xmlValues(answer, "Account"), [ACCOUNT_ID]);
  assert.equal(xmlValues(answer, "RequestId").length, 1);
});

sandboxTest("an unknown access key is refused in each service's words", async (sandbox) => {
  const credentials = { accessKeyId: "AKIAUNKNOWN", secretAccessKey: "x" };
  const text = "The security token included in the request is invalid.";
  assert.deepEqual(ssmError(await information(sandbox, { credentials })), [
    400,
    "UnrecognizedClientException",
    text,
  ]);
  assert.deepEqual(queryError(await identity(sandbox, { credentials })), [
    403,
    "InvalidClientTokenId",
    text,
  ]);
  assert.deepEqual(queryError(await describe(sandbox, {}, { credentials })), [
    401,
    "AuthFailure",
    "AWS was not able to validate the provided access credentials",
  ]);
});

sandboxTest("a wrong secret and a changed body are refused", async (sandbox) => {
  const credentials = { ...sandbox.credentials, secretAccessKey: "wrong" };
  const bad: CallOverrides[] = [{ credentials }, { body: '{"MaxResults":5}' }];
  for (const overrides of bad) {
    const [status, code, message] = ssmError(await information(sandbox, overrides));
    assert.equal(status, 400);
    assert.equal(code, "InvalidSignatureException");
    assert.match(String(message), /^The request signature we calculated does not match/);
  }
  assert.equal(
    queryError(await identity(sandbox, { credentials }))[1],
    "SignatureDoesNotMatch",
  );
});

sandboxTest("a wrong region and a wrong service are refused", async (sandbox) => {
  assert.deepEqual(ssmError(await information(sandbox, { region: "eu-central-2" })), [
    400,
    "InvalidSignatureException",
    "Credential should be scoped to a valid region. ",
  ]);
  assert.deepEqual(ssmError(await information(sandbox, { service: "ec2" })), [
    400,
    "InvalidSignatureException",
    "Credential should be scoped to correct service: 'ssm'. ",
  ]);
});

Deno.test("a clock that is more than five minutes off is refused, with both times", async () => {
  const clock = new FakeClock(Date.UTC(2025, 0, 2, 12, 0, 0));
  await using sandbox = await startSandbox({ seed: 1, clock });
  const at = (minutes: number) => ({ now: clock.now() + minutes * 60_000 });
  assert.equal((await information(sandbox, at(-5))).status, 200);
  assert.equal((await information(sandbox, at(5))).status, 200);
  assert.deepEqual(ssmError(await information(sandbox, at(-6))), [
    400,
    "InvalidSignatureException",
    "Signature expired: 20250102T115400Z is now earlier than 20250102T115500Z " +
    "(20250102T120000Z - 5 min.)",
  ]);
  assert.deepEqual(ssmError(await information(sandbox, at(6))), [
    400,
    "InvalidSignatureException",
    "Signature not yet current: 20250102T120600Z is still later than 20250102T120500Z " +
    "(20250102T120000Z + 5 min.)",
  ]);
  assert.equal(queryError(await describe(sandbox, {}, at(-6)))[1], "RequestExpired");
});

sandboxTest("calls without or with half a signature are refused", async (sandbox) => {
  const send = async (headers: Record<string, string>) => {
    const response = await fetch(sandbox.endpoint, {
      method: "POST",
      headers: { "x-amz-target": "AmazonSSM.DescribeInstanceInformation", ...headers },
      body: "{}",
    });
    return await response.json();
  };
  assert.equal((await send({})).__type, "MissingAuthenticationTokenException");
  const halves = [
    "AWS4-HMAC-SHA256 Credential=a/b",
    "AWS4-HMAC-SHA256 Credential=a/20250101/r/ssm/aws4_request, SignedHeaders=host",
    "Basic abc",
  ];
  for (const authorization of halves) {
    const answer = await send({ authorization, "x-amz-date": "20250101T000000Z" });
    assert.equal(answer.__type, "IncompleteSignatureException", authorization);
  }
});

Deno.test("temporary credentials need their token and stop working", async () => {
  const clock = new FakeClock(Date.now());
  await using sandbox = await startSandbox({ seed: 1, clock });
  const now = () => ({ now: clock.now() });
  const old = sandbox.credentials;
  const credentials = sandbox.setCredentials(sandbox.temporaryCredentials(60_000));
  assert.equal(sandbox.env.AWS_SESSION_TOKEN, credentials.sessionToken);
  assert.equal((await information(sandbox, now())).status, 200);
  const { sessionToken: _token, ...without } = credentials;
  for (const wrong of [without, { ...without, sessionToken: "other" }, old]) {
    const answer = await information(sandbox, { credentials: wrong, ...now() });
    assert.equal(ssmError(answer)[1], "UnrecognizedClientException");
  }
  await clock.advance(60_000);
  assert.deepEqual(ssmError(await information(sandbox, now())), [
    400,
    "ExpiredTokenException",
    "The security token included in the request is expired",
  ]);
  assert.deepEqual(queryError(await identity(sandbox, now())), [
    403,
    "ExpiredToken",
    "The security token included in the request is expired",
  ]);
  assert.equal(queryError(await describe(sandbox, {}, now()))[1], "RequestExpired");
  sandbox.setCredentials();
  assert.equal((await information(sandbox, now())).status, 200);
});

// --- Policy and limits

sandboxTest("denied actions are refused in each service's words", async (sandbox) => {
  const ssm = ssmError(await callSsm(sandbox, "StartSession", { Target: sandbox.instanceId }));
  assert.equal(ssm[1], "AccessDeniedException");
  assert.match(
    String(ssm[2]),
    /^User: arn:aws:iam::\d+:user\/sandbox is not authorized to perform: ssm:StartSession/,
  );
  const ec2 = queryError(await describe(sandbox));
  assert.deepEqual(ec2.slice(0, 2), [403, "UnauthorizedOperation"]);
  assert.match(ec2[2]!, /^You are not authorized to perform this operation\. User: /);
  assert.equal((await information(sandbox)).status, 200);
}, { deny: ["ssm:StartSession", "ec2:*"] });

sandboxTest("throttling has each service's own name", async (sandbox) => {
  assert.deepEqual(ssmError(await information(sandbox)), [
    400,
    "ThrottlingException",
    "Rate exceeded",
  ]);
  assert.deepEqual(queryError(await describe(sandbox)), [
    503,
    "RequestLimitExceeded",
    "Request limit exceeded.",
  ]);
  assert.equal(queryError(await identity(sandbox))[1], "Throttling");
  sandbox.setFaults({ throttle: 0 });
  assert.equal((await information(sandbox)).status, 200);
}, { switches: { throttle: 1 } });

sandboxTest("operations that do not exist are refused", async (sandbox) => {
  for (const action of ["Nope", "constructor", "__proto__"]) {
    assert.equal(
      ssmError(await callSsm(sandbox, action, {}))[1],
      "UnknownOperationException",
    );
    assert.equal(
      queryError(await callQuery(sandbox, "ec2", { Action: action }))[1],
      "InvalidAction",
    );
  }
});

// --- SSM

sandboxTest(
  "StartSession hands out a session, a URL with a raw cell number, a token",
  async (sandbox) => {
    const answer = await callSsm(sandbox, "StartSession", {
      Target: sandbox.instanceId,
      DocumentName: "AWS-StartSSHSession",
      Parameters: { portNumber: ["22"] },
      Reason: "because",
    });
    assert.equal(answer.status, 200);
    const { SessionId, StreamUrl, TokenValue } = json(answer);
    assert.match(String(SessionId), /^sandbox-[\da-f]{17}$/);
    const pattern = new RegExp(
      `^ws://127\\.0\\.0\\.1:\\d+/v1/data-channel/${SessionId}` +
        "\\?role=publish_subscribe&cell-number=[A-Za-z0-9+/]+=*$",
    );
    assert.match(String(StreamUrl), pattern);
    const cell = String(StreamUrl).split("cell-number=")[1]!;
    assert.ok(cell.includes("+") && cell.includes("/"));
    assert.ok(String(TokenValue).length > 100);
    const [session] = sandbox.sessions();
    assert.equal(session?.status, "Connecting");
    assert.equal(session?.reason, "because");
  },
);

sandboxTest("StartSession refuses what it cannot do", async (sandbox) => {
  const [, stopped, , , offline] = sandbox.instances().map(({ instanceId }) => instanceId);
  const start = async (input: Record<string, unknown>) =>
    ssmError(await callSsm(sandbox, "StartSession", input)).slice(1);
  const ssh = { DocumentName: "AWS-StartSSHSession" };
  for (const Target of [stopped!, offline!, "i-00000000000000000"]) {
    assert.deepEqual(await start({ Target, ...ssh }), [
      "TargetNotConnected",
      `${Target} is not connected.`,
    ]);
  }
  const Target = sandbox.instanceId;
  for (const name of ["AWS-StartInteractiveCommand", "Nonsense"]) {
    assert.deepEqual(await start({ Target, DocumentName: name }), [
      "InvalidDocument",
      `Document with name ${name} does not exist.`,
    ]);
  }
  const parameters = [
    [{ portNumber: ["0"] }, "InvalidParameters"],
    [{ portNumber: ["65536"] }, "InvalidParameters"],
    [{ portNumber: ["22", "23"] }, "InvalidParameters"],
    [{ host: ["a"] }, "InvalidParameters"],
    [{ portNumber: "22" }, "SerializationException"],
    [[], "SerializationException"],
  ] as const;
  for (const [Parameters, code] of parameters) {
    assert.equal(
      (await start({ Target, ...ssh, Parameters }))[0],
      code,
      JSON.stringify(Parameters),
    );
  }
  assert.deepEqual(await start({ ...ssh }), [
    "ValidationException",
    "1 validation error detected: Value 'null' at 'target' failed to satisfy constraint: " +
    "Member must not be null",
  ]);
  assert.equal(
    (await start({ Target, Reason: "x".repeat(257), ...ssh }))[0],
    "ValidationException",
  );
  assert.equal((await start({ Target: 5, ...ssh }))[0], "SerializationException");
  assert.deepEqual(sandbox.sessions(), []);
});

sandboxTest(
  "StartSession knows the port forwarding documents and their parameters",
  async (sandbox) => {
    const start = async (DocumentName: string, Parameters: Record<string, string[]>) => {
      const Target = sandbox.instanceId;
      return json(await callSsm(sandbox, "StartSession", { Target, DocumentName, Parameters }));
    };
    const local = "AWS-StartPortForwardingSession";
    const remote = "AWS-StartPortForwardingSessionToRemoteHost";
    const ports = { portNumber: ["5432"], localPortNumber: ["0"] };
    assert.ok((await start(local, ports)).SessionId);
    assert.ok((await start(remote, { ...ports, host: ["db.sandbox.internal"] })).SessionId);
    assert.ok((await start(remote, { ...ports, host: ["fd00:5a:b0c5::10"] })).SessionId);
    for (
      const [name, parameters] of [
        [local, { ...ports, host: ["db.sandbox.internal"] }],
        [remote, ports],
        [remote, { ...ports, host: ["a;b"] }],
        [remote, { host: ["db.sandbox.internal"], portNumber: ["0"] }],
      ] satisfies [string, Record<string, string[]>][]
    ) {
      const answer = await start(name, parameters);
      assert.equal(answer.__type, "InvalidParameters", JSON.stringify(parameters));
    }
  },
);

sandboxTest("TerminateSession ends a session, twice if need be", async (sandbox) => {
  const grant = json(
    await callSsm(sandbox, "StartSession", {
      Target: sandbox.instanceId,
      DocumentName: "AWS-StartSSHSession",
    }),
  );
  const { SessionId } = grant;
  const list = async (State: string) => {
    const { Sessions } = json(await callSsm(sandbox, "DescribeSessions", { State }));
    return (Sessions as Record<string, unknown>[]).map((each) => [each.SessionId, each.Status]);
  };
  assert.deepEqual(await list("Active"), [[SessionId, "Connecting"]]);
  for (let i = 0; i < 2; i++) {
    const answer = await callSsm(sandbox, "TerminateSession", { SessionId });
    assert.deepEqual([answer.status, json(answer)], [200, { SessionId }]);
  }
  assert.deepEqual(await list("Active"), []);
  assert.deepEqual(await list("History"), [[SessionId, "Terminated"]]);
  assert.deepEqual(sandbox.sessions().filter(({ live }) => live), []);
});

sandboxTest(
  "ResumeSession knows ended sessions by a missing token, or says so",
  async (sandbox) => {
    const { SessionId } = json(
      await callSsm(sandbox, "StartSession", {
        Target: sandbox.instanceId,
        DocumentName: "AWS-StartSSHSession",
      }),
    );
    const resume = (id: unknown) => callSsm(sandbox, "ResumeSession", { SessionId: id });
    assert.ok(json(await resume(SessionId)).TokenValue);
    sandbox.terminate(String(SessionId));
    assert.deepEqual(json(await resume(SessionId)), { SessionId });
    sandbox.setFaults({ endedResume: "does-not-exist" });
    assert.equal(ssmError(await resume(SessionId))[1], "DoesNotExistException");
    assert.equal(ssmError(await resume("sandbox-unknown"))[1], "DoesNotExistException");
  },
);

sandboxTest("DescribeInstanceInformation tells which agents are online", async (sandbox) => {
  const ask = async (input: Record<string, unknown>) => {
    const { InstanceInformationList } = json(
      await callSsm(sandbox, "DescribeInstanceInformation", input),
    );
    return InstanceInformationList as Record<string, unknown>[];
  };
  const all = await ask({});
  assert.deepEqual(all.map((each) => each.PingStatus), [
    "Online",
    "ConnectionLost",
    "Online",
    "Online",
    "ConnectionLost",
  ]);
  const wanted = [sandbox.instanceId];
  const [one, ...none] = await ask({ Filters: [{ Key: "InstanceIds", Values: wanted }] });
  assert.equal(one?.AgentVersion, "3.3.1142.0");
  assert.deepEqual(none, []);
  const old = { InstanceInformationFilterList: [{ key: "InstanceIds", valueSet: wanted }] };
  assert.equal((await ask(old)).length, 1);
});

// --- EC2

sandboxTest(
  "DescribeInstances filters by tag with wildcards, by id and by state",
  async (sandbox) => {
    const names = async (parameters: Record<string, string>) =>
      xmlValues(await describe(sandbox, parameters), "value");
    const byName = (...values: string[]) => ({
      "Filter.1.Name": "tag:Name",
      ...Object.fromEntries(values.map((value, i) => [`Filter.1.Value.${i + 1}`, value])),
    });
    assert.equal((await names({})).length, 5);
    assert.deepEqual(await names(byName("sandbox")), ["sandbox"]);
    assert.deepEqual(await names(byName("SANDBOX")), []);
    assert.equal((await names(byName("sandbox*"))).length, 5);
    assert.deepEqual(await names(byName("sandbox-t?in")), ["sandbox-twin", "sandbox-twin"]);
    assert.deepEqual(await names(byName("sandbox-.*", "*stopped")), ["sandbox-stopped"]);
    assert.deepEqual(await names(byName("sandbox\\*")), []);
    assert.deepEqual(
      await names({
        ...byName("*"),
        "Filter.2.Name": "instance-state-name",
        "Filter.2.Value.1": "stopped",
      }),
      ["sandbox-stopped"],
    );
    assert.deepEqual(await names({ "InstanceId.1": sandbox.instanceId }), ["sandbox"]);
    assert.deepEqual(await names({ "Filter.1.Name": "tag:Env", "Filter.1.Value.1": "*" }), []);
  },
);

sandboxTest("DescribeInstances refuses ids and filters that do not exist", async (sandbox) => {
  assert.deepEqual(queryError(await describe(sandbox, { "InstanceId.1": "i-00000000000000000" })), [
    400,
    "InvalidInstanceID.NotFound",
    "The instance ID 'i-00000000000000000' does not exist",
  ]);
  assert.equal(
    queryError(await describe(sandbox, { "InstanceId.1": "web" }))[1],
    "InvalidInstanceID.Malformed",
  );
  assert.deepEqual(
    queryError(await describe(sandbox, { "Filter.1.Name": "colour", "Filter.1.Value.1": "red" })),
    [400, "InvalidParameterValue", "The filter 'colour' is invalid"],
  );
});

sandboxTest("DescribeInstances pages", async (sandbox) => {
  const seen: string[] = [];
  let token: string | undefined;
  let pages = 0;
  do {
    const answer = await describe(sandbox, {
      MaxResults: "5",
      ...(token ? { NextToken: token } : {}),
    });
    seen.push(...xmlValues(answer, "instanceId"));
    token = xmlValues(answer, "nextToken")[0];
    pages++;
  } while (token);
  assert.equal(pages, 3);
  assert.deepEqual(seen, sandbox.instances().map(({ instanceId }) => instanceId));
  for (const MaxResults of ["4", "1001", "x"]) {
    assert.equal(queryError(await describe(sandbox, { MaxResults }))[1], "InvalidParameterValue");
  }
  for (const NextToken of ["nope", "%%%"]) {
    assert.equal(queryError(await describe(sandbox, { NextToken }))[1], "InvalidNextToken");
  }
}, { instances: Array.from({ length: 12 }, (_, i) => ({ name: `host-${i}` })) });

Deno.test("StartInstances and StopInstances take their time", async () => {
  const clock = new FakeClock(Date.now());
  await using sandbox = await startSandbox({
    seed: 1,
    clock,
    transitionTime: 5000,
    agentStartTime: 3000,
  });
  const id = sandbox.instances()[1]!.instanceId;
  const change = async (Action: string) => {
    const answer = await callQuery(sandbox, "ec2", { Action, "InstanceId.1": id }, {
      now: clock.now(),
    });
    return answer.status === 200 ? xmlValues(answer, "name") : queryError(answer);
  };
  const now = () => {
    const { state, agentOnline } = sandbox.instances()[1]!;
    return [state, agentOnline];
  };
  const states: string[] = [];
  using _listener = sandbox.on((event) => {
    if (event.type === "instance-state") states.push(event.state);
  });
  assert.deepEqual(now(), ["stopped", false]);
  assert.deepEqual(await change("StartInstances"), ["pending", "stopped"]);
  await clock.advance(5000);
  assert.deepEqual(now(), ["running", false]);
  await clock.advance(3000);
  assert.deepEqual(now(), ["running", true]);
  assert.deepEqual(await change("StartInstances"), ["running", "running"]);
  assert.deepEqual(await change("StopInstances"), ["stopping", "running"]);
  assert.deepEqual(now(), ["stopping", false]);
  assert.deepEqual(await change("StartInstances"), [
    400,
    "IncorrectInstanceState",
    `The instance '${id}' is not in a state from which it can be started.`,
  ]);
  await clock.advance(5000);
  assert.deepEqual(now(), ["stopped", false]);
  assert.deepEqual(states, ["pending", "running", "stopping", "stopped"]);
  await settle();
});

sandboxTest("StopInstances and StartInstances need instances", async (sandbox) => {
  const stop = (parameters: Record<string, string>) =>
    callQuery(sandbox, "ec2", { Action: "StopInstances", ...parameters });
  assert.equal(queryError(await stop({}))[1], "MissingParameter");
  assert.equal(
    queryError(await stop({ "InstanceId.1": "i-00000000" }))[1],
    "InvalidInstanceID.NotFound",
  );
});

// --- STS

sandboxTest("AssumeRole hands out credentials that work", async (sandbox) => {
  const answer = await callQuery(sandbox, "sts", {
    Action: "AssumeRole",
    RoleArn: ROLE_ARN,
    RoleSessionName: "tester",
  });
  assert.equal(answer.status, 200);
  const value = (name: string) => xmlValues(answer, name)[0]!;
  const credentials = {
    accessKeyId: value("AccessKeyId"),
    secretAccessKey: value("SecretAccessKey"),
    sessionToken: value("SessionToken"),
  };
  assert.ok(Date.parse(value("Expiration")) > Date.now() + 3_500_000);
  const who = await identity(sandbox, { credentials });
  assert.deepEqual(xmlValues(who, "Arn"), [
    `arn:aws:sts::${ACCOUNT_ID}:assumed-role/sandbox/tester`,
  ]);
  const session = await callSsm(sandbox, "StartSession", {
    Target: sandbox.instanceId,
    DocumentName: "AWS-StartSSHSession",
  }, { credentials });
  assert.match(String(json(session).SessionId), /^tester-/);
});

sandboxTest("AssumeRole checks role, name, duration and MFA", async (sandbox) => {
  const assume = (parameters: Record<string, string>) =>
    callQuery(sandbox, "sts", {
      Action: "AssumeRole",
      RoleArn: MFA_ROLE_ARN,
      RoleSessionName: "tester",
      ...parameters,
    });
  const mfa = { SerialNumber: MFA_SERIAL, TokenCode: "123456" };
  assert.equal((await assume(mfa)).status, 200);
  assert.deepEqual(queryError(await assume({ ...mfa, TokenCode: "654321" })), [
    403,
    "AccessDenied",
    "MultiFactorAuthentication failed with invalid MFA one time pass code. ",
  ]);
  assert.match(
    queryError(await assume({ ...mfa, SerialNumber: "x" }))[2]!,
    /verify your MFA serial/,
  );
  assert.equal(queryError(await assume({}))[1], "AccessDenied");
  assert.equal(
    queryError(await assume({ ...mfa, RoleArn: "arn:aws:iam::1:role/x" }))[1],
    "AccessDenied",
  );
  assert.equal(queryError(await assume({ ...mfa, RoleSessionName: "a b" }))[1], "ValidationError");
  assert.equal(queryError(await assume({ ...mfa, DurationSeconds: "5" }))[1], "ValidationError");
});

// --- As a whole

sandboxTest("every call is told to listeners, with its outcome", async (sandbox) => {
  const calls: string[] = [];
  using _listener = sandbox.on((event) => {
    if (event.type !== "api-call") return;
    calls.push(`${event.service} ${event.action} ${event.status} ${event.error ?? ""}`.trim());
  });
  await identity(sandbox);
  await describe(sandbox, { "InstanceId.1": "web" });
  assert.deepEqual(calls, [
    "sts GetCallerIdentity 200",
    "ec2 DescribeInstances 400 InvalidInstanceID.Malformed",
  ]);
});

Deno.test("ids repeat with the seed", async () => {
  const ids = async (seed: number) => {
    await using sandbox = await startSandbox({ seed });
    return [sandbox.credentials, sandbox.instances().map(({ instanceId }) => instanceId)];
  };
  assert.deepEqual(await ids(5), await ids(5));
  assert.notDeepEqual(await ids(5), await ids(6));
});
