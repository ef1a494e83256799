/**
 * The profiles and SSO sessions of the AWS shared config and credentials files.
 *
 * @module
 */

import { type AwsPaths, awsPaths, type Surroundings, whereabouts } from "./environment.ts";
import { headerName, type IniFile, type IniSection, parseIni } from "./ini.ts";

/** What the two files say together. */
export interface SharedFiles {
  /** Settings by profile; where both files have a key, the credentials file counts. */
  readonly profiles: ReadonlyMap<string, IniSection>;
  /** Settings by name of `[sso-session NAME]`. */
  readonly ssoSessions: ReadonlyMap<string, IniSection>;
}

/** Name of the profile that is used when none is asked for. */
export const DEFAULT_PROFILE = "default";

/** Reads both files; one that is missing or unreadable counts as empty, as in the AWS SDKs. */
export async function readSharedFiles(paths: AwsPaths): Promise<SharedFiles> {
  const [config, credentials] = await Promise.all([read(paths.config), read(paths.credentials)]);
  return mergeSharedFiles(config, credentials);
}

/** The two files as one. */
export function mergeSharedFiles(config: IniFile, credentials: IniFile): SharedFiles {
  const profiles = new Map<string, Map<string, string>>();
  const ssoSessions = new Map<string, IniSection>();
  const add = (name: string, section: IniSection) => {
    const profile = profiles.get(name) ?? new Map<string, string>();
    profiles.set(name, profile);
    for (const [key, value] of section) profile.set(key, value);
  };
  for (const [header, section] of config) {
    const profile = header === DEFAULT_PROFILE ? header : headerName(header, "profile");
    if (profile !== undefined) add(profile, section);
    const session = headerName(header, "sso-session");
    if (session !== undefined) ssoSessions.set(session, section);
  }
  for (const [header, section] of credentials) add(header, section);
  return { profiles, ssoSessions };
}

/** Names of the profiles in the shared files, sorted, for suggestions. */
export async function listAwsProfiles(options: Surroundings = {}): Promise<string[]> {
  const { profiles } = await readSharedFiles(awsPaths(whereabouts(options)));
  return [...profiles.keys()].sort();
}

async function read(path: string): Promise<IniFile> {
  try {
    return parseIni(await Deno.readTextFile(path));
  } catch {
    return new Map();
  }
}
