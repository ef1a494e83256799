/**
 * Partitions and regions: which DNS suffix a region lives under, and which regions are known, for
 * telling a typo from a new region. Source: AWS documentation, "AWS Regions" and `partitions.json` of
 * the SDKs.
 *
 * @module
 */

import { AwsocksError } from "../core/mod.ts";

/** A group of regions with its own accounts and DNS suffix. */
export interface Partition {
  /** As in ARNs. */
  readonly name: string;
  /** Suffix of service names: `ssm.<region>.<dnsSuffix>`. */
  readonly dnsSuffix: string;
  /** Every region name of the partition, those of the future included. */
  readonly pattern: RegExp;
  /** Regions that are on in every account. */
  readonly regions: readonly string[];
  /** Regions that an account has to enable first. */
  readonly optInRegions?: readonly string[];
}

const COMMERCIAL: Partition = {
  name: "aws",
  dnsSuffix: "amazonaws.com",
  pattern: /^(us|eu|ap|sa|ca|me|af|il|mx)-[a-z]+-\d+$/,
  regions: [
    "us-east-1",
    "us-east-2",
    "us-west-1",
    "us-west-2",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "eu-central-1",
    "eu-north-1",
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-northeast-3",
    "ap-south-1",
    "ap-southeast-1",
    "ap-southeast-2",
    "ca-central-1",
    "sa-east-1",
  ],
  optInRegions: [
    "af-south-1",
    "ap-east-1",
    "ap-east-2",
    "ap-south-2",
    "ap-southeast-3",
    "ap-southeast-4",
    "ap-southeast-5",
    "ap-southeast-6",
    "ap-southeast-7",
    "ca-west-1",
    "eu-central-2",
    "eu-south-1",
    "eu-south-2",
    "il-central-1",
    "me-central-1",
    "me-south-1",
    "mx-central-1",
  ],
};

/** Every partition, the commercial one first. */
export const PARTITIONS: readonly Partition[] = [
  COMMERCIAL,
  {
    name: "aws-cn",
    dnsSuffix: "amazonaws.com.cn",
    pattern: /^cn-[a-z]+-\d+$/,
    regions: ["cn-north-1", "cn-northwest-1"],
  },
  {
    name: "aws-us-gov",
    dnsSuffix: "amazonaws.com",
    pattern: /^us-gov-[a-z]+-\d+$/,
    regions: ["us-gov-east-1", "us-gov-west-1"],
  },
  {
    name: "aws-iso",
    dnsSuffix: "c2s.ic.gov",
    pattern: /^us-iso-[a-z]+-\d+$/,
    regions: ["us-iso-east-1", "us-iso-west-1"],
  },
  {
    name: "aws-iso-b",
    dnsSuffix: "sc2s.sgov.gov",
    pattern: /^us-isob-[a-z]+-\d+$/,
    regions: ["us-isob-east-1", "us-isob-west-1"],
  },
  {
    name: "aws-iso-e",
    dnsSuffix: "cloud.adc-e.uk",
    pattern: /^eu-isoe-[a-z]+-\d+$/,
    regions: ["eu-isoe-west-1"],
  },
  {
    name: "aws-iso-f",
    dnsSuffix: "csp.hci.ic.gov",
    pattern: /^us-isof-[a-z]+-\d+$/,
    regions: ["us-isof-east-1", "us-isof-south-1"],
  },
  {
    name: "aws-eusc",
    dnsSuffix: "amazonaws.eu",
    pattern: /^eusc-[a-z]{2}-[a-z]+-\d+$/,
    regions: ["eusc-de-east-1"],
  },
];

/** Words with dashes and a number at the end: `eu-west-1`, `us-gov-west-1`. */
const REGION_SYNTAX = /^[a-z]{2,8}(-[a-z]{2,16}){1,3}-\d{1,2}$/;

/** The partition of a region; the commercial one for a region of no known shape. */
export function partitionOf(region: string): Partition {
  return PARTITIONS.find(({ pattern }) => pattern.test(region)) ?? COMMERCIAL;
}

/** True for a region that existed when this was written. */
export function isKnownRegion(region: string): boolean {
  return knownRegions().includes(region);
}

/** True for a region in which an account's keys do not work before the account enables it. */
export function isOptInRegion(region: string): boolean {
  return COMMERCIAL.optInRegions!.includes(region);
}

/**
 * Checks a region's syntax. A well-formed name that is not known passes: AWS opens new regions.
 * @throws AwsocksError `aws-region-invalid`, with the nearest known region
 */
export async function checkRegion(region: string): Promise<void> {
  if (REGION_SYNTAX.test(region)) return;
  if (region.trim() === "") throw new AwsocksError("aws-region-invalid", "No AWS region is set");
  throw new AwsocksError(
    "aws-region-invalid",
    `"${region}" is not an AWS region${await nearestRegion(region)}`,
    { facts: { region } },
  );
}

/** `; the nearest is eu-west-1` for a typo, empty for a name that is near to nothing. */
export async function nearestRegion(region: string): Promise<string> {
  const { closest, distance } = await import("fastest-levenshtein");
  const given = region.trim().toLowerCase();
  const best = closest(given, knownRegions());
  return distance(given, best) <= MAX_TYPOS ? `; the nearest is ${best}` : "";
}

/** Edits beyond which a name counts as something else, not as a typo. */
const MAX_TYPOS = 4;

function knownRegions(): string[] {
  return PARTITIONS.flatMap(({ regions, optInRegions = [] }) => [...regions, ...optInRegions]);
}
