/**
 * A certificate authority that nobody knows, made by OpenSSL, and an HTTP proxy that leads to loopback.
 *
 * @module
 */

import assert from "node:assert/strict";
import { DenoConn, relay } from "../../lib/core/mod.ts";
import { run } from "./external.ts";

/** Files of a server and its authority. */
export interface PrivateCa {
  /** Certificate of the authority. */
  readonly bundle: string;
  readonly cert: string;
  readonly key: string;
}

/** Makes an authority and a certificate for `names`, such as `DNS:aws.test` or `IP:127.0.0.1`. */
export async function makePrivateCa(folder: string, names: readonly string[]): Promise<PrivateCa> {
  const [bundle, caKey] = [`${folder}/ca.pem`, `${folder}/ca-key.pem`];
  const [cert, key] = [`${folder}/cert.pem`, `${folder}/key.pem`];
  const newKey = ["-newkey", "rsa:2048", "-nodes", "-days", "2"];
  await openssl(
    "req",
    "-x509",
    ...newKey,
    "-subj",
    "/CN=Test CA",
    "-keyout",
    caKey,
    "-out",
    bundle,
  );
  const [request, extensions] = [`${folder}/request.pem`, `${folder}/extensions`];
  await openssl("req", ...newKey, "-subj", "/CN=server", "-keyout", key, "-out", request);
  await Deno.writeTextFile(extensions, `subjectAltName=${names.join(",")}\n`);
  const signed = ["-CA", bundle, "-CAkey", caKey, "-CAcreateserial", "-days", "2"];
  await openssl("x509", "-req", "-in", request, ...signed, "-extfile", extensions, "-out", cert);
  return { bundle, cert, key };
}

async function openssl(...args: string[]): Promise<void> {
  const { code, stderr } = await run("openssl", args);
  assert.equal(code, 0, stderr);
}

/** A running proxy. */
export interface ConnectProxy extends AsyncDisposable {
  readonly url: string;
  /** Destinations that were asked for, `host:port`. */
  readonly destinations: readonly string[];
}

/** An HTTP proxy that knows CONNECT alone and takes every host for this machine. */
export function startConnectProxy(): ConnectProxy {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const destinations: string[] = [];
  const serving = new Set<Promise<void>>();
  const accepting = (async () => {
    for await (const client of listener) {
      const work = serve(client, destinations).catch(() => client.close());
      serving.add(work);
      work.finally(() => serving.delete(work));
    }
  })();
  return {
    url: `http://127.0.0.1:${listener.addr.port}`,
    destinations,
    [Symbol.asyncDispose]: async () => {
      listener.close();
      await accepting;
      await Promise.all(serving);
    },
  };
}

async function serve(client: Deno.TcpConn, destinations: string[]): Promise<void> {
  let head = "";
  const buffer = new Uint8Array(4096);
  // The client waits for the answer before it sends more.
  while (!head.endsWith("\r\n\r\n")) {
    const n = await client.read(buffer);
    if (n === null) throw new Error("The client has left");
    head += new TextDecoder().decode(buffer.subarray(0, n));
  }
  const [, destination, port] = /^CONNECT ([^\s:]+:(\d+)) HTTP\/1\.1\r\n/.exec(head) ?? [];
  if (!destination) throw new Error("Not CONNECT");
  destinations.push(destination);
  const upstream = await Deno.connect({ hostname: "127.0.0.1", port: Number(port) });
  await client.write(new TextEncoder().encode("HTTP/1.1 200 Connection established\r\n\r\n"));
  await relay(new DenoConn(client), new DenoConn(upstream));
}
