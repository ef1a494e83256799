/**
 * The HTTP endpoint of the sandbox's SSM, EC2, EC2 Instance Connect and STS: one address for all, as `AWS_ENDPOINT_URL`
 * wants it. Every request must be signed.
 *
 * @module
 */

import { type Clock, getLog } from "../../core/mod.ts";
import type { EventHub } from "../events.ts";
import type { Identities, Identity } from "../identities.ts";
import type { Switches } from "../options.ts";
import type { Random } from "../random.ts";
import { EC2_NAMESPACE, EC2_OPERATIONS, type Ec2Context } from "./ec2.ts";
import {
  accessDenied,
  ApiFault,
  faultResponse,
  type ServiceName,
  signatureFault,
  STS_NAMESPACE,
  throttled,
} from "./fault.ts";
import { INSTANCE_CONNECT_OPERATIONS, type InstanceConnectContext } from "./instance_connect.ts";
import type { Json } from "./json.ts";
import { parseParameters, type QueryParameters } from "./query.ts";
import { SignatureFault, verifySignature } from "./signature.ts";
import { SSM_OPERATIONS, type SsmContext } from "./ssm.ts";
import { STS_OPERATIONS, type StsContext } from "./sts.ts";
import { element, type Xml } from "./xml.ts";

/** Services that speak JSON 1.1, by their prefix in `X-Amz-Target`. */
const JSON_TARGETS = [
  ["AmazonSSM.", "ssm"],
  ["AWSEC2InstanceConnectService.", "ec2-instance-connect"],
] as const;
const STS_VERSION = "2011-06-15";
const JSON_TYPE = "application/x-amz-json-1.1";
const XML_TYPE = "text/xml;charset=UTF-8";

/** Options of {@linkcode ApiServer}. */
export interface ApiServerOptions
  extends SsmContext, Ec2Context, StsContext, InstanceConnectContext {
  readonly clock: Clock;
  readonly random: Random;
  readonly events: EventHub;
  readonly identities: Identities;
  readonly switches: () => Switches;
  readonly deny: readonly string[];
}

/** A request, taken apart. */
interface Call {
  readonly service: ServiceName;
  readonly action: string;
  readonly request: Request;
  readonly body: Uint8Array;
  /** Of a Query request. */
  readonly parameters: QueryParameters;
}

/** The endpoint. */
export class ApiServer {
  readonly #options: ApiServerOptions;
  readonly #stopped = new AbortController();
  #server: Deno.HttpServer<Deno.NetAddr> | undefined;

  constructor(options: ApiServerOptions) {
    this.#options = options;
  }

  /** Listens on 127.0.0.1. @returns `http://127.0.0.1:PORT` */
  listen(port: number): string {
    this.#server = Deno.serve({
      hostname: "127.0.0.1",
      port,
      signal: this.#stopped.signal,
      onListen: () => {},
    }, (request) => this.#serve(request));
    return `http://127.0.0.1:${this.#server.addr.port}`;
  }

  /** Ends every connection. Idempotent. */
  async close(): Promise<void> {
    this.#stopped.abort();
    await this.#server?.finished;
  }

  async #serve(request: Request): Promise<Response> {
    const { events, random } = this.#options;
    const requestId = random.uuid();
    const call = await readCall(request);
    const { action, service } = call;
    let response: Response;
    let error: string | undefined;
    try {
      response = await this.#answer(call, requestId);
    } catch (cause) {
      const fault = cause instanceof ApiFault ? cause : internal(cause);
      error = fault.code;
      response = faultResponse(service, fault, requestId);
    }
    events.emit({
      type: "api-call",
      service,
      action,
      status: response.status,
      requestId,
      ...(error ? { error } : {}),
    });
    return response;
  }

  async #answer(call: Call, requestId: string): Promise<Response> {
    const { deny, random, switches } = this.#options;
    const { action, service } = call;
    const caller = await this.#authenticate(call);
    if (random.chance(switches().throttle)) throw throttled(service);
    const operation = `${service}:${action}`;
    if (deny.includes(operation) || deny.includes(`${service}:*`)) {
      throw accessDenied(service, caller.arn, operation);
    }
    switch (service) {
      case "ssm":
        return this.#ssm(call, caller, requestId);
      case "ec2-instance-connect":
        return this.#instanceConnect(call, requestId);
      case "ec2":
        return this.#ec2(call, requestId);
      case "sts":
        return this.#sts(call, caller, requestId);
    }
  }

  async #authenticate({ body, request, service }: Call): Promise<Identity> {
    const { clock, identities, region } = this.#options;
    const url = new URL(request.url);
    try {
      return await verifySignature(
        {
          method: request.method,
          path: url.pathname,
          query: url.search.slice(1),
          header: (name) => request.headers.get(name),
          body,
        },
        { service, region, now: clock.now() },
        identities,
      );
    } catch (error) {
      throw error instanceof SignatureFault ? signatureFault(service, error) : error;
    }
  }

  #ssm({ action, body }: Call, caller: Identity, requestId: string): Response {
    const operation = find(SSM_OPERATIONS, action);
    if (!operation) throw new ApiFault("UnknownOperationException", "");
    return jsonResponse(operation(this.#options, inputOf(body), caller), requestId);
  }

  #instanceConnect({ action, body }: Call, requestId: string): Response {
    const operation = find(INSTANCE_CONNECT_OPERATIONS, action);
    if (!operation) throw new ApiFault("UnknownOperationException", "");
    const output = { RequestId: requestId, ...operation(this.#options, inputOf(body)) };
    return jsonResponse(output, requestId);
  }

  #ec2({ action, parameters }: Call, requestId: string): Response {
    const operation = find(EC2_OPERATIONS, action);
    if (!operation) throw invalidAction(action);
    const output: Record<string, Xml> = { requestId, ...operation(this.#options, parameters) };
    return xmlResponse(element(`${action}Response`, output, EC2_NAMESPACE), requestId);
  }

  #sts({ action, parameters }: Call, caller: Identity, requestId: string): Response {
    const operation = find(STS_OPERATIONS, action);
    if (!operation) throw invalidAction(action);
    const output = {
      [`${action}Result`]: operation(this.#options, parameters, caller),
      ResponseMetadata: { RequestId: requestId },
    };
    return xmlResponse(element(`${action}Response`, output, STS_NAMESPACE), requestId);
  }
}

/** Which service is meant: a JSON request says so in a header, a Query request by its version. */
async function readCall(request: Request): Promise<Call> {
  const body = new Uint8Array(await request.arrayBuffer());
  const target = request.headers.get("x-amz-target");
  for (const [prefix, service] of JSON_TARGETS) {
    if (!target?.startsWith(prefix)) continue;
    const action = target.slice(prefix.length);
    return { service, action, request, body, parameters: new Map() };
  }
  const text = request.method === "POST"
    ? new TextDecoder().decode(body)
    : new URL(request.url).search.slice(1);
  const parameters = parseParameters(text);
  return {
    service: parameters.get("Version") === STS_VERSION ? "sts" : "ec2",
    action: parameters.get("Action") ?? "",
    request,
    body,
    parameters,
  };
}

function find<T>(operations: Readonly<Record<string, T>>, action: string): T | undefined {
  return Object.hasOwn(operations, action) ? operations[action] : undefined;
}

/** The input of a JSON 1.1 call. */
function inputOf(body: Uint8Array): Json {
  let input: unknown;
  try {
    input = JSON.parse(new TextDecoder().decode(body));
  } catch {
    throw new ApiFault("SerializationException", "");
  }
  if (typeof input === "object" && input !== null) return input as Json;
  throw new ApiFault(
    "SerializationException",
    "Start of structure or map found where not expected.",
  );
}

function jsonResponse(output: Json, requestId: string): Response {
  return Response.json(output, {
    headers: { "content-type": JSON_TYPE, "x-amzn-requestid": requestId },
  });
}

function invalidAction(action: string): ApiFault {
  return new ApiFault("InvalidAction", `The action ${action} is not valid for this web service.`);
}

function internal(cause: unknown): ApiFault {
  getLog("sandbox").error("API call failed inside the sandbox", { error: cause });
  return new ApiFault("InternalServerError", "An error occurred on the server side.", 500);
}

function xmlResponse(body: string, requestId: string): Response {
  return new Response(body, {
    headers: { "content-type": XML_TYPE, "x-amzn-requestid": requestId },
  });
}
