/**
 * Identities from private key files.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { AwsocksError, type ErrorCode, getLog } from "../core/mod.ts";
import type { Identity } from "./identity.ts";
import { KeyError } from "./key_error.ts";
import { type KeyOutline, outlineKey, parsePrivateKey, type PrivateKey } from "./private_key.ts";
import { fingerprint, keyTypeOf } from "./wire.ts";

/** Asks the user for the passphrase of a key file; undefined when the user declines. */
export type AskPassphrase = (
  path: string,
  details: { readonly attempt: number; readonly signal?: AbortSignal | undefined },
) => Promise<string | undefined>;

/** Where a passphrase comes from. */
export interface PassphraseOptions {
  /** Tried first; empty counts as absent. Secret. */
  readonly passphrase?: string | undefined;
  /** Called up to three times, when `passphrase` is absent or wrong. */
  readonly askPassphrase?: AskPassphrase | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Options of {@linkcode loadIdentity}. */
export interface LoadIdentityOptions extends PassphraseOptions {
  /**
   * Leave an encrypted key locked until a server wants its signature, where its public half can be
   * read without; default false.
   */
  readonly lazy?: boolean;
}

/** An identity from a file. */
export interface FileIdentity extends Identity {
  /** True until the passphrase has opened it. */
  readonly locked: boolean;
  /**
   * Opens it now instead of with the first signature.
   * @throws AwsocksError `ssh-key-invalid`, `ssh-key-passphrase`
   */
  open(): Promise<void>;
}

/** Prompts before a wrong passphrase is an error, as in OpenSSH. */
const MAX_PROMPTS = 3;

/** Larger than any key; keeps a path like /dev/zero from filling memory. */
const MAX_KEY_FILE_BYTES = 1024 * 1024;

/**
 * An identity from a private key file. The passphrase is asked for once; the opened key stays in
 * memory, also its failure to open: load it again for another try.
 *
 * @throws AwsocksError `ssh-key-missing` (no such file), `ssh-key-invalid`, `ssh-key-passphrase`
 */
export async function loadIdentity(
  path: string,
  options: LoadIdentityOptions = {},
): Promise<FileIdentity> {
  const text = await readKeyFile(path);
  await checkSurroundings(path);
  return await identityFromText(text, path, options, await readPublicKeyFile(`${path}.pub`));
}

/**
 * An identity from the content of a key file.
 * @param label stands for its path in messages
 * @param publicKey its public half, where that is known from elsewhere
 */
export async function identityFromText(
  text: string,
  label: string,
  options: LoadIdentityOptions = {},
  publicKey?: Uint8Array,
): Promise<FileIdentity> {
  let locked = true;
  let opened: Promise<PrivateKey> | undefined;
  const open = (signal = options.signal) =>
    opened ??= unlock(text, label, { ...options, signal }).then((key) => {
      locked = false;
      return key;
    }, (error) => {
      if (signal?.aborted) opened = undefined;
      throw error;
    });
  const outline = outlineWithPath(text, label);
  const known = options.lazy && outline.encrypted ? outline.publicKey ?? publicKey : undefined;
  const wirePublicKey = known ?? (await open()).publicKey;
  return {
    source: "file",
    label,
    keyType: keyTypeOf(wirePublicKey),
    publicKey: wirePublicKey,
    fingerprint: fingerprint(wirePublicKey),
    get locked() {
      return locked;
    },
    async open() {
      await open();
    },
    async sign(data, { hash, signal } = {}) {
      const key = await open(signal);
      try {
        return key.sign(data, hash);
      } catch (cause) {
        throw keyError(label, new KeyError("unsupported", "cannot sign", { cause }));
      }
    },
  };
}

function outlineWithPath(text: string, label: string): KeyOutline {
  try {
    return outlineKey(text);
  } catch (error) {
    throw keyError(label, error);
  }
}

async function unlock(
  text: string,
  label: string,
  { passphrase, askPassphrase, signal }: PassphraseOptions,
): Promise<PrivateKey> {
  let last: unknown;
  const attempt = async (candidate: string | undefined) => {
    try {
      return await parsePrivateKey(text, candidate);
    } catch (error) {
      const locked = error instanceof KeyError && error.kind.startsWith("passphrase-");
      if (!locked) throw keyError(label, error);
      last = error;
      return undefined;
    }
  };
  const first = await attempt(passphrase || undefined);
  if (first) return first;
  for (let prompt = 1; askPassphrase && prompt <= MAX_PROMPTS; prompt++) {
    signal?.throwIfAborted();
    const answer = await askPassphrase(label, { attempt: prompt, signal });
    if (answer === undefined) break;
    const key = await attempt(answer);
    if (key) return key;
  }
  throw keyError(label, last);
}

/** The failure with the path of the key. */
function keyError(label: string, error: unknown): unknown {
  if (!(error instanceof KeyError)) return error;
  const code = error.kind.startsWith("passphrase-") ? "ssh-key-passphrase" : "ssh-key-invalid";
  const needed = error.kind === "passphrase-needed" ? " and there is no passphrase for it" : "";
  return new AwsocksError(code, `SSH key ${label} ${error.message}${needed}`, {
    cause: error,
    facts: { path: label },
  });
}

async function readKeyFile(path: string): Promise<string> {
  const failed = (why: string, code: ErrorCode = "ssh-key-invalid") =>
    new AwsocksError(code, `Cannot read SSH key ${path}: ${why}`, { facts: { path } });
  try {
    const { isFile, size } = await Deno.stat(path);
    if (!isFile) throw failed("not a file");
    if (size > MAX_KEY_FILE_BYTES) throw failed("too large for a key");
    return await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof AwsocksError) throw error;
    if (error instanceof Deno.errors.NotFound) throw failed("no such file", "ssh-key-missing");
    if (
      error instanceof Deno.errors.PermissionDenied || error instanceof Deno.errors.NotCapable
    ) throw failed("permission denied");
    throw failed(error instanceof Error ? error.message : String(error));
  }
}

/** The key in a file like `id_rsa.pub`; undefined when there is none that can be read. */
async function readPublicKeyFile(path: string): Promise<Uint8Array | undefined> {
  try {
    const [type, base64 = ""] = (await Deno.readTextFile(path)).split(/\s+/);
    const publicKey = new Uint8Array(Buffer.from(base64, "base64"));
    return keyTypeOf(publicKey) === type ? publicKey : undefined;
  } catch {
    return undefined;
  }
}

/** Says what OpenSSH would mind about the file, and what this client does not use. */
async function checkSurroundings(path: string): Promise<void> {
  const log = getLog("ssh");
  if (Deno.build.os !== "windows") {
    const { mode, uid } = await Deno.stat(path);
    // OpenSSH looks at files of the user only, and refuses them; here it is a warning.
    if (mode !== null && mode & 0o077 && uid === currentUser()) {
      log.warn("SSH key can be read by others; run chmod 600 on it", {
        path,
        mode: (mode & 0o777).toString(8).padStart(4, "0"),
      });
    }
  }
  const certificate = await Deno.stat(`${path}-cert.pub`).catch(() => undefined);
  if (certificate?.isFile) {
    log.debug("SSH certificates are not supported, only the key is used", {
      certificate: `${path}-cert.pub`,
    });
  }
}

/** The user's id; undefined where the runtime may not say. */
function currentUser(): number | null | undefined {
  try {
    return Deno.uid();
  } catch {
    return undefined;
  }
}
