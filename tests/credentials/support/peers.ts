/**
 * The services that give out credentials, on loopback: STS, the portal and the token endpoint of IAM
 * Identity Center, a container's credentials endpoint and EC2 instance metadata, on one port.
 *
 * @module
 */

import type { Environment } from "../../../lib/credentials/mod.ts";
import type { Outcome, Task } from "./child.ts";

/** A request as it came. */
export interface Seen {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: Headers;
  readonly body: string;
}

/** Answers a request, or leaves it to the next. */
export type Answer = (seen: Seen) => Response | Promise<Response> | undefined;

/** A server on loopback that remembers what it was asked. */
export class Peer implements AsyncDisposable {
  readonly seen: Seen[] = [];
  readonly #server: Deno.HttpServer<Deno.NetAddr>;

  constructor(...answers: Answer[]) {
    this.#server = Deno.serve(
      { hostname: "127.0.0.1", port: 0, onListen: () => {} },
      async (request) => {
        const url = new URL(request.url);
        const seen = {
          method: request.method,
          path: url.pathname,
          query: url.searchParams,
          headers: request.headers,
          body: await request.text(),
        };
        this.seen.push(seen);
        for (const answer of answers) {
          const response = await answer(seen);
          if (response) return response;
        }
        return new Response("nothing here", { status: 404 });
      },
    );
  }

  /** `http://127.0.0.1:PORT`. */
  get url(): string {
    return `http://127.0.0.1:${this.#server.addr.port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
  }
}

/** An hour from now, without milliseconds, as the services write it. */
export function inAnHour(): string {
  return new Date(Date.now() + 3_600_000).toISOString().replace(/\.\d+Z$/, "Z");
}

/** STS: gives temporary credentials called `accessKeyId` for any role. */
export function sts(accessKeyId: string): Answer {
  return ({ path, body }) => {
    const action = new URLSearchParams(body).get("Action");
    if (path !== "/" || !action) return undefined;
    return xml(
      `<${action}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><${action}Result>` +
        `<AssumedRoleUser><Arn>arn:aws:sts::123456789012:assumed-role/r/s</Arn>` +
        `<AssumedRoleId>AROA:s</AssumedRoleId></AssumedRoleUser>` +
        `<Credentials><AccessKeyId>${accessKeyId}</AccessKeyId>` +
        `<SecretAccessKey>sts-secret</SecretAccessKey><SessionToken>sts-token</SessionToken>` +
        `<Expiration>${inAnHour()}</Expiration></Credentials>` +
        `</${action}Result></${action}Response>`,
    );
  };
}

/** STS that refuses. */
export function stsError(status: number, code: string, message: string): Answer {
  return ({ path, body }) =>
    path !== "/" || !body ? undefined : xml(
      `<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type>` +
        `<Code>${code}</Code><Message>${message}</Message></Error>` +
        `<RequestId>r-1</RequestId></ErrorResponse>`,
      status,
    );
}

/** Portal of IAM Identity Center, for one access token. */
export function ssoPortal(accessToken: string, accessKeyId: string): Answer {
  return ({ path, headers }) => {
    if (path !== "/federation/credentials") return undefined;
    if (headers.get("x-amz-sso_bearer_token") !== accessToken) {
      return awsJson(
        { message: "Session token not found or invalid" },
        401,
        "UnauthorizedException",
      );
    }
    return Response.json({
      roleCredentials: {
        accessKeyId,
        secretAccessKey: "sso-secret",
        sessionToken: "sso-session-token",
        expiration: Date.now() + 3_600_000,
      },
    });
  };
}

/** Any JSON answer of an AWS service. */
export function awsJson(body: unknown, status: number, errorType: string): Response {
  return Response.json(body, { status, headers: { "x-amzn-errortype": errorType } });
}

/** Credentials as containers and instances give them. */
export function metadataCredentials(accessKeyId: string): Response {
  return Response.json({
    Code: "Success",
    Type: "AWS-HMAC",
    AccessKeyId: accessKeyId,
    SecretAccessKey: "metadata-secret",
    Token: "metadata-token",
    Expiration: inAnHour(),
  });
}

/** EC2 instance metadata, version 2. */
export function instanceMetadata(accessKeyId: string): Answer {
  const roles = "/latest/meta-data/iam/security-credentials/";
  return ({ method, path, headers }) => {
    if (method === "PUT" && path === "/latest/api/token") return new Response("metadata-session");
    if (!path.startsWith(roles)) return undefined;
    if (headers.get("x-aws-ec2-metadata-token") !== "metadata-session") {
      return new Response("", { status: 401 });
    }
    return path === roles ? new Response("my-role") : metadataCredentials(accessKeyId);
  };
}

function xml(text: string, status = 200): Response {
  return new Response(text, { status, headers: { "content-type": "text/xml" } });
}

const CHILD = new URL("./child.ts", import.meta.url);

/** Loads credentials in a process that has this environment and nothing else. */
export async function loadInChild(env: Environment, task: Task = {}): Promise<Outcome> {
  const kept = { PATH: Deno.env.get("PATH"), DENO_DIR: await denoDir() };
  const { stdout, stderr, success } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--allow-all", "--no-check", "--quiet", CHILD.href, JSON.stringify(task)],
    clearEnv: true,
    env: Object.fromEntries(
      Object.entries({ ...kept, ...env }).filter((entry): entry is [string, string] =>
        entry[1] !== undefined
      ),
    ),
  }).output();
  const text = new TextDecoder().decode(stdout);
  const complaint = new TextDecoder().decode(stderr);
  // The SDK's console warnings end up here: ours must make none.
  if (!success || (complaint !== "" && !task.sdk)) {
    throw new Error(`The child said: ${complaint}${text}`);
  }
  return JSON.parse(text) as Outcome;
}

let cacheDirectory: Promise<string> | undefined;

/** Where the packages are: the child's home is another. */
function denoDir(): Promise<string> {
  return cacheDirectory ??= (async () => {
    const { stdout } = await new Deno.Command(Deno.execPath(), { args: ["info", "--json"] })
      .output();
    return (JSON.parse(new TextDecoder().decode(stdout)) as { denoDir: string }).denoDir;
  })();
}
