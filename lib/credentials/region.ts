/**
 * Which AWS region is meant, in the order of the AWS CLI. Loads nothing of the AWS SDK.
 *
 * @module
 */

import { awsPaths, namedProfile, type Surroundings, whereabouts } from "./environment.ts";
import { DEFAULT_PROFILE, readSharedFiles } from "./shared_files.ts";

/** Options of {@linkcode resolveRegion}. */
export interface RegionOptions extends Surroundings {
  /** Region given by flag or configuration; it wins. */
  readonly region?: string | undefined;
  /** AWS profile whose region counts; default `AWS_PROFILE`, then `default`. */
  readonly profile?: string | undefined;
}

/**
 * The region: the explicit setting, `AWS_REGION`, `AWS_DEFAULT_REGION`, then `region` of the profile
 * in the shared files. As in the AWS CLI, neither a `source_profile` nor an `sso_region` is asked.
 *
 * @returns undefined when nothing names a region
 */
export async function resolveRegion(options: RegionOptions = {}): Promise<string | undefined> {
  const where = whereabouts(options);
  const given = options.region || where.env.AWS_REGION || where.env.AWS_DEFAULT_REGION;
  if (given) return given;
  const { profiles } = await readSharedFiles(awsPaths(where));
  const profile = namedProfile(options.profile, where.env) ?? DEFAULT_PROFILE;
  return profiles.get(profile)?.get("region");
}
