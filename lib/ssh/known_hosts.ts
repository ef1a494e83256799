/**
 * OpenSSH's known hosts format (sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT"): plain, hashed and wildcard
 * host names, negation, `[host]:port`, markers. Pure: text in, entries out.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { createHmac } from "node:crypto";
import { keyTypeOf } from "./wire.ts";

/** `@revoked` keys are never accepted; `@cert-authority` lines hold keys of authorities, not hosts. */
export type KnownHostMarker = "revoked" | "cert-authority";

/** A line of a known hosts file. */
export interface KnownHost {
  /** Counted from 1. */
  readonly line: number;
  readonly marker?: KnownHostMarker;
  /** The first field as it stands: patterns between commas, or one hashed name. */
  readonly hosts: string;
  readonly keyType: string;
  /** Wire format. */
  readonly publicKey: Uint8Array;
}

/** The default port, which is left out of names. */
const SSH_PORT = 22;

/** A host as known hosts files name it. */
export function knownHostName(host: string, port: number = SSH_PORT): string {
  const name = host.toLowerCase();
  return port === SSH_PORT ? name : `[${name}]:${port}`;
}

/** Every line that can be understood; others are skipped, as OpenSSH does. */
export function parseKnownHosts(text: string): KnownHost[] {
  const entries: KnownHost[] = [];
  for (const [index, raw] of text.split("\n").entries()) {
    const fields = raw.trim().split(/[ \t]+/);
    if (raw.trim() === "" || fields[0]!.startsWith("#")) continue;
    const marker = fields[0]!.startsWith("@") ? fields.shift()!.slice(1) : undefined;
    if (marker !== undefined && marker !== "revoked" && marker !== "cert-authority") continue;
    const [hosts, keyType, base64] = fields;
    if (!hosts || !keyType || !base64) continue;
    const publicKey = new Uint8Array(Buffer.from(base64, "base64"));
    if (!namesItself(publicKey, keyType)) continue;
    entries.push({
      line: index + 1,
      ...(marker === undefined ? {} : { marker }),
      hosts,
      keyType,
      publicKey,
    });
  }
  return entries;
}

function namesItself(publicKey: Uint8Array, keyType: string): boolean {
  try {
    return keyTypeOf(publicKey) === keyType;
  } catch {
    return false;
  }
}

/** True when the entry is about the host, whose name comes from {@linkcode knownHostName}. */
export function matchesHost(entry: Pick<KnownHost, "hosts">, name: string): boolean {
  if (entry.hosts.startsWith("|")) return matchesHash(entry.hosts, name);
  let matched = false;
  for (const pattern of entry.hosts.toLowerCase().split(",")) {
    const negated = pattern.startsWith("!");
    if (!matchesPattern(negated ? pattern.slice(1) : pattern, name)) continue;
    // A negated match decides, wherever in the list it stands.
    if (negated) return false;
    matched = true;
  }
  return matched;
}

/** `|1|salt|hash`, where the hash is HMAC-SHA-1 of the name, keyed with the salt. */
function matchesHash(hosts: string, name: string): boolean {
  const [, version, salt = "", hash = ""] = hosts.split("|");
  if (version !== "1" || !salt || !hash) return false;
  return createHmac("sha1", Buffer.from(salt, "base64")).update(name).digest("base64") === hash;
}

/** `*` stands for any run of characters, `?` for one. Linear in both lengths but for one factor. */
function matchesPattern(pattern: string, name: string): boolean {
  let p = 0;
  let n = 0;
  let star = -1;
  let starredTo = 0;
  while (n < name.length) {
    if (p < pattern.length && pattern[p] === "*") {
      star = p++;
      starredTo = n;
    } else if (p < pattern.length && (pattern[p] === "?" || pattern[p] === name[n])) {
      p++;
      n++;
    } else if (star >= 0) {
      // Let the last star take one character more.
      p = star + 1;
      n = ++starredTo;
    } else return false;
  }
  while (pattern[p] === "*") p++;
  return p === pattern.length;
}

/** A line for the file, with line end. */
export function formatKnownHost(name: string, publicKey: Uint8Array): string {
  return `${name} ${keyTypeOf(publicKey)} ${Buffer.from(publicKey).toString("base64")}\n`;
}
