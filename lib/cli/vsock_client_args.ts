/**
 * Command line of `vsock-client` → what it asks for. Pure: reads nothing, prints nothing.
 *
 * @module
 */

import { parseArgs } from "node:util";
import { isLoopback } from "../proxy/listen_address.ts";
import { DEFAULT_VSOCK_ADDRESS, parseVsockAddress, type VsockAddress } from "../vsock/address.ts";
import { UsageError } from "./usage_error.ts";

/** What a command line asks for. */
export type VsockClientRequest =
  | { readonly kind: "help" | "version" }
  | {
    readonly kind: "run";
    readonly address: VsockAddress;
    /** Commands until the host closes the connection. */
    readonly persistent: boolean;
    /** Wait for the host at the address instead of connecting to it. */
    readonly listen: boolean;
    /** Milliseconds for which to try, or to listen; Infinity for ever. */
    readonly wait: number | undefined;
    readonly verbose: boolean;
  };

const PERSISTENT = "persistent";

const OPTIONS = {
  listen: { type: "boolean", short: "l" },
  wait: { type: "string", short: "w" },
  verbose: { type: "boolean", short: "v" },
  help: { type: "boolean", short: "h" },
  version: { type: "boolean", short: "V" },
} as const;

const HINT = "vsock-client --help";

/**
 * Reads a command line.
 * @throws UsageError; AwsocksError `usage` for an address that is none
 */
export function parseVsockClientArgs(args: readonly string[]): VsockClientRequest {
  // Not strict: its own checks would speak in their own words.
  const { values, positionals, tokens } = parseArgs({
    args: [...args],
    options: OPTIONS,
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  if (values.help) return { kind: "help" };
  if (values.version) return { kind: "version" };
  for (const token of tokens) {
    if (token.kind !== "option") continue;
    if (!Object.hasOwn(OPTIONS, token.name)) {
      throw new UsageError(`Unknown flag "${token.rawName}"`, {
        word: token.name,
        candidates: Object.keys(OPTIONS),
        prefix: "--",
        otherwise: HINT,
      });
    }
    if (token.name !== "wait" && token.value !== undefined) {
      throw new UsageError(`${token.rawName} takes no value`, { hint: HINT });
    }
  }
  const listen = values.listen === true;
  return {
    kind: "run",
    ...readWords(positionals, listen),
    listen,
    wait: readWait(values.wait),
    verbose: values.verbose === true,
  };
}

/** `[CID[:PORT]] [persistent]`. */
function readWords(
  words: readonly string[],
  listen: boolean,
): { readonly address: VsockAddress; readonly persistent: boolean } {
  const persistent = words.at(-1) === PERSISTENT;
  const [text, ...surplus] = persistent ? words.slice(0, -1) : words;
  if (surplus.length > 0) {
    throw new UsageError(`There is no use for "${surplus[0]}"`, {
      hint: /^\d+ \d+$/.test(`${text} ${surplus[0]}`) ? `write ${text}:${surplus[0]}` : HINT,
    });
  }
  const fallback = listen ? parseVsockAddress("any") : DEFAULT_VSOCK_ADDRESS;
  const address = text === undefined ? fallback : parseVsockAddress(text);
  if (listen && address.kind === "tcp" && !isLoopback(address.host)) {
    throw new UsageError(
      `Listening on ${address.host} would let everybody who reaches it run commands here`,
      { hint: "listen on 127.0.0.1, or connect to the host instead" },
    );
  }
  return { address, persistent };
}

function readWait(value: string | boolean | undefined): number | undefined {
  if (value === undefined) return undefined;
  if (value === "forever") return Infinity;
  if (typeof value !== "string" || !/^\d+(\.\d+)?$/.test(value)) {
    throw new UsageError(`--wait needs a number of seconds, or "forever"`, { hint: HINT });
  }
  return Number(value) * 1000;
}
