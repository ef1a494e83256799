/**
 * Where a service is: overrides from the environment and the profile, else the partition's host name.
 * Source: AWS SDKs and Tools Reference Guide, "Service-specific endpoints".
 *
 * @module
 */

import { AwsocksError } from "../core/mod.ts";
import { type Environment, firstSet } from "./environment.ts";
import { checkRegion, partitionOf } from "./regions.ts";

/** Services the project calls, named as in host names and credential scopes. */
export type AwsService = "ssm" | "ec2" | "sts" | "ssmmessages" | "ec2-instance-connect";

/** Where overrides come from. */
export interface EndpointOptions {
  /** `[profiles.NAME.endpoints]`: absolute URLs by service. */
  readonly endpoints?: Readonly<Partial<Record<AwsService, string>>> | undefined;
  /** Environment, for `AWS_ENDPOINT_URL` and `AWS_ENDPOINT_URL_<SERVICE>`. */
  readonly env?: Environment | undefined;
}

/**
 * The base URL of a service, without a slash at the end. First that is set:
 * `AWS_ENDPOINT_URL_<SERVICE>`, `AWS_ENDPOINT_URL` (not for `ssmmessages`), the profile's endpoint, the
 * partition's.
 *
 * @throws AwsocksError `aws-region-invalid`, or `config-invalid` for an override that is no URL
 */
export async function endpointFor(
  service: AwsService,
  region: string,
  options: EndpointOptions = {},
): Promise<string> {
  await checkRegion(region);
  return overrideFor(service, options) ??
    `https://${service}.${region}.${partitionOf(region).dnsSuffix}`;
}

/**
 * A StreamUrl with scheme, host and port replaced if `ssmmessages` has an explicit override; path and
 * query are kept byte for byte, because `cell-number` carries raw base64. `http:` overrides become
 * `ws:`, `https:` ones `wss:`.
 *
 * `AWS_ENDPOINT_URL` does not apply: the URL already comes from whoever answered StartSession.
 */
export function overrideStreamUrl(streamUrl: string, options: EndpointOptions = {}): string {
  const override = overrideFor("ssmmessages", options);
  if (override === undefined) return streamUrl;
  const origin = override.replace(/^http/i, "ws");
  return streamUrl.replace(/^[a-z][a-z0-9+.-]*:\/\/[^/?#]*/i, () => origin);
}

function overrideFor(service: AwsService, options: EndpointOptions): string | undefined {
  const { env = {}, endpoints = {} } = options;
  const variable = `AWS_ENDPOINT_URL_${service.toUpperCase().replaceAll("-", "_")}`;
  const names = service === "ssmmessages" ? [variable] : [variable, "AWS_ENDPOINT_URL"];
  const fromEnv = firstSet(env, names);
  if (fromEnv) return parseOverride(service, fromEnv.name, fromEnv.value);
  const fromProfile = endpoints[service];
  return fromProfile ? parseOverride(service, `endpoints.${service}`, fromProfile) : undefined;
}

/** The value is not shown: it might hold a user name and password. */
function parseOverride(service: AwsService, source: string, value: string): string {
  const streams = service === "ssmmessages";
  const schemes = streams ? ["ws:", "wss:", "http:", "https:"] : ["http:", "https:"];
  const url = URL.canParse(value) ? new URL(value) : undefined;
  const wrong = (why: string) =>
    new AwsocksError("config-invalid", `${source} cannot be used as an endpoint: ${why}`, {
      hint: `give it as ${streams ? "wss" : "https"}://HOST or with :PORT`,
    });
  if (!url || !schemes.includes(url.protocol)) {
    throw wrong(`it is not an absolute ${schemes.join(", ")} URL`);
  }
  if (url.username || url.password) throw wrong("it holds a user name or password");
  if (url.search || url.hash) throw wrong("it has a query or fragment");
  if (streams && url.pathname !== "/") throw wrong("it has a path");
  return url.href.replace(/\/+$/, "");
}
