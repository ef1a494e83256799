/** Thousands of small messages over TLS: what leaves in one write arrives as what it was. */

import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { createHash, randomBytes } from "node:crypto";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { WebSocketServer } from "ws";
import { createSocketConnector } from "../../lib/ssm/socket.ts";
import { interopTest, need } from "../support/external.ts";
import { makePrivateCa } from "../support/private_ca.ts";

const MESSAGES = 20_000;
const PART = 64;

interopTest("wss: 20,000 messages by the dozen come back in order", [need("openssl")], async () => {
  const folder = await Deno.makeTempDir({ prefix: "awsocks-wss-" });
  const { bundle, cert, key } = await makePrivateCa(folder, ["IP:127.0.0.1"]);
  const server = createServer({
    cert: await Deno.readTextFile(cert),
    key: await Deno.readTextFile(key),
  });
  const webSockets = new WebSocketServer({ server });
  webSockets.on("connection", (socket) => {
    socket.on("message", (data, binary) => socket.send(data, { binary }));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", () => resolve()));
  const { port } = server.address() as AddressInfo;
  try {
    const connect = createSocketConnector({
      credentials: () => Promise.reject(new Error("not asked for")),
      signUpgrade: () => Promise.reject(new Error("not asked for")),
      proxyFor: () => undefined,
      caCerts: [await Deno.readTextFile(bundle)],
    });
    const [sent, received] = [createHash("sha256"), createHash("sha256")];
    const all = Promise.withResolvers<void>();
    let back = 0;
    const socket = await connect(`wss://127.0.0.1:${port}/?X-Amz-Signature=00`, {
      message: (bytes) => {
        received.update(bytes);
        if (++back === MESSAGES) all.resolve();
      },
      pong: () => {},
      drained: () => {},
      closed: ({ code }) => all.reject(new Error(`closed with ${code}`)),
    });
    for (let i = 0; i < MESSAGES; i++) {
      const message = Buffer.concat([Buffer.from(`${i} `), randomBytes(1 + i * 37 % 1200)]);
      sent.update(message);
      socket.send(message);
      if (i % PART === PART - 1) await new Promise((resolve) => setImmediate(resolve));
    }
    await all.promise;
    assert.equal(received.digest("hex"), sent.digest("hex"));
    assert.equal(socket.bufferedAmount, 0);
    socket.close();
  } finally {
    for (const socket of webSockets.clients) socket.terminate();
    await new Promise((resolve) => webSockets.close(resolve));
    await new Promise((resolve) => server.close(resolve));
    await Deno.remove(folder, { recursive: true });
  }
});
