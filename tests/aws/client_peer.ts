/**
 * An AWS client of a loopback server under a fake clock, and answers to give it.
 *
 * @module
 */

import {
  type AwsClient,
  type AwsClientOptions,
  createAwsClient,
  createNetwork,
} from "../../lib/aws/mod.ts";
import type { Credentials } from "../../lib/core/mod.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { type Handler, type Peer, serve } from "./peers.ts";

/** Keys of nobody. */
export const KEYS: Credentials = { accessKeyId: "AKIDEXAMPLE", secretAccessKey: "secret" };

/** A client, the server it talks to, and its clock. */
export interface ClientPeer extends AsyncDisposable {
  readonly client: AwsClient;
  readonly server: Peer;
  readonly clock: FakeClock;
}

/** Serves `handler` and makes a client that reaches nothing else. */
export function clientOf(handler: Handler, options: Partial<AwsClientOptions> = {}): ClientPeer {
  const server = serve(handler);
  const clock = new FakeClock();
  const network = createNetwork({ env: {} });
  const client = createAwsClient({
    credentials: () => Promise.resolve(KEYS),
    region: "eu-west-1",
    network,
    env: { AWS_ENDPOINT_URL: server.url },
    clock,
    random: () => 0,
    ...options,
  });
  return {
    client,
    server,
    clock,
    async [Symbol.asyncDispose]() {
      network.close();
      await server[Symbol.asyncDispose]();
    },
  };
}

/** Longest delay of the client's back-off; its time-out for an attempt is longer. */
const LONGEST_DELAY_MS = 5_000;

/** Waits for `work` while the clock skips the delays between attempts, but no attempt's time-out. */
export async function skipDelays<T>(clock: FakeClock, work: Promise<T>): Promise<T> {
  let done = false;
  const finish = () => void (done = true);
  work.then(finish, finish);
  while (!done) {
    await new Promise((resolve) => setTimeout(resolve, 1));
    const next = clock.nextIn;
    if (next !== undefined && next <= LONGEST_DELAY_MS) await clock.advance(next);
  }
  return await work;
}

/** An error answer of an AWS JSON service. */
export function jsonError(
  code: string,
  message: string,
  { status = 400, headers = {} }: { status?: number; headers?: Record<string, string> } = {},
): Response {
  return Response.json({ __type: `com.amazonaws.ssm#${code}`, message }, {
    status,
    headers: { "x-amzn-requestid": "f00d", ...headers },
  });
}
