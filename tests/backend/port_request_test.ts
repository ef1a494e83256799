import assert from "node:assert/strict";
import {
  isNamed,
  isOwnPort,
  portFeatures,
  portSessionRequest,
} from "../../lib/backend/port_request.ts";

Deno.test("a destination is a parameter of the session, but for the instance itself", () => {
  const request = (host: string) => portSessionRequest("i-1", { host, port: 5432 });
  for (const host of ["localhost", "LocalHost.", "127.0.0.1", "::1"]) {
    assert.ok(isOwnPort({ host, port: 1 }), host);
    assert.equal(request(host).documentName, "AWS-StartPortForwardingSession");
    assert.deepEqual(request(host).parameters, { portNumber: ["5432"], localPortNumber: ["0"] });
  }
  for (const host of ["db.internal", "10.0.1.10", "fd00::10", "127.0.0.2", "localhost.example"]) {
    assert.ok(!isOwnPort({ host, port: 1 }), host);
    assert.equal(request(host).documentName, "AWS-StartPortForwardingSessionToRemoteHost");
    assert.deepEqual(request(host).parameters, {
      host: [host],
      portNumber: ["5432"],
      localPortNumber: ["0"],
    });
  }
  assert.ok(isNamed({ host: "db.internal", port: 1 }));
  assert.ok(!isNamed({ host: "fd00::10", port: 1 }));
});

Deno.test("an agent's version says what it can do", () => {
  const features = (version: string) => Object.values(portFeatures(version));
  //                        multiplexes, forwardsToHosts, bearsSilence
  assert.deepEqual(features("3.0.196.0"), [false, false, false]);
  assert.deepEqual(features("3.0.222.0"), [true, false, false]);
  assert.deepEqual(features("3.1.1187.0"), [true, false, false]);
  assert.deepEqual(features("3.1.1188.0"), [true, true, false]);
  assert.deepEqual(features("3.1.1574.0"), [true, true, false]);
  assert.deepEqual(features("3.1.1575.0"), [true, true, true]);
  assert.deepEqual(features("3.3.1142.0"), [true, true, true]);
  assert.deepEqual(features("4.0.0.0"), [true, true, true]);
  assert.deepEqual(features("development"), [false, false, false]);
});
