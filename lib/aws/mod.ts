/**
 * How the project talks to AWS: signed requests, endpoints of every partition, the way out through
 * proxies, and AWS's errors as the project's. Loads nothing heavy before the first call.
 *
 * @module
 */

export { requestIdOf } from "./answer.ts";
export type { AwsServiceError, HttpAnswer } from "./answer.ts";
export { createAwsClient } from "./client.ts";
export type { AwsClient, AwsClientOptions, AwsRequest } from "./client.ts";
export { endpointFor, overrideStreamUrl } from "./endpoints.ts";
export type { AwsService, EndpointOptions } from "./endpoints.ts";
export type { Environment } from "./environment.ts";
export { sendJson, unreadableAnswer } from "./json.ts";
export type { JsonRequest } from "./json.ts";
export { createNetwork } from "./network.ts";
export type { AwsNetwork, NetworkOptions } from "./network.ts";
export { sendQuery } from "./query.ts";
export type { QueryRequest } from "./query.ts";
export { checkRegion, isKnownRegion, nearestRegion, partitionOf, PARTITIONS } from "./regions.ts";
export type { Partition } from "./regions.ts";
export { signRequest } from "./sign.ts";
export type { SignableRequest } from "./sign.ts";
export { itemsAt, nodeAt, textAt } from "./xml.ts";
export type { XmlNode } from "./xml.ts";
