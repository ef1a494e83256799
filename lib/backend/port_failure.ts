/**
 * What failures of port sessions mean: the one place that reads the agent's texts.
 *
 * The agent says why a session ends in the text of `channel_closed`, in the words of Go's net package.
 * Of a connection that fails inside a session it says only that.
 *
 * @module
 */

import {
  AwsocksError,
  type ErrorCode,
  formatTarget,
  isAwsocksError,
  type Target,
} from "../core/mod.ts";

/** First match wins. Windows' words stand beside those of Unix. */
const TEXTS: readonly (readonly [RegExp, ErrorCode])[] = [
  [/^Forwarding to IP address .* is forbidden/, "destination-prohibited"],
  [/^lookup |\blookup .*: no such host/, "destination-name-unknown"],
  [/connection refused|actively refused/, "destination-refused"],
  [/no route to host|host is (down|unreachable)|unreachable host/, "destination-unreachable"],
  [/network is unreachable|unreachable network/, "destination-network-unreachable"],
  [/timed out|i\/o timeout|did not properly respond/, "destination-timeout"],
  [/^Unable to connect to specified port/, "destination-failed"],
];

/** Service codes of StartSession that are about the destination it was given. */
const PARAMETER_CODES: ReadonlySet<unknown> = new Set(["InvalidParameters", "ValidationException"]);

const FORBIDDEN_HINT =
  "the SSM agent forwards to no address of instance metadata, nor to DNS and router of the VPC";

/**
 * A failure to start a session, or its end, as what it says about the destination; itself if it says
 * nothing about it.
 */
export function sessionFailure(target: Target, error: unknown): unknown {
  if (!isAwsocksError(error)) return error;
  if (error.code === "aws-request-failed" && PARAMETER_CODES.has(error.facts.code)) {
    return failure("destination-failed", target, String(error.facts.message ?? ""), error);
  }
  const { output } = error.facts;
  if (typeof output !== "string") return error;
  const text = output.trim();
  const code = TEXTS.find(([pattern]) => pattern.test(text))?.[1];
  return code ? failure(code, target, text, error) : error;
}

/** A dial that fails sooner was refused: a host that is not there takes longer to be missed. */
const REFUSED_WITHIN_MS = 2500;
/** A dial that fails later was given up by the operating system of the instance. */
const TIMED_OUT_AFTER_MS = 15_000;

/**
 * A connection that the agent could not make. It gives no reason, so the time that it took must do.
 * @param ms how long the agent has tried, in milliseconds
 */
export function dialFailure(target: Target, ms: number): AwsocksError {
  if (ms < REFUSED_WITHIN_MS) return failure("destination-refused", target, "connection refused");
  if (ms >= TIMED_OUT_AFTER_MS) return failure("destination-timeout", target, "no answer");
  // Not "unreachable": that would have it tried another way, on nothing but a guess.
  return failure("destination-failed", target, "the SSM agent could not connect");
}

function failure(code: ErrorCode, target: Target, why: string, cause?: unknown): AwsocksError {
  // Printable and short: it is another program's text, and it ends in a log line.
  const said = why.replaceAll(/[^\x20-\x7e\u00a0-\uffff]+/g, " ").trim().slice(0, 200);
  return new AwsocksError(code, `Cannot connect to ${formatTarget(target)}: ${said}`, {
    facts: { host: target.host, port: target.port },
    ...(cause !== undefined && { cause }),
    ...(code === "destination-prohibited" && { hint: FORBIDDEN_HINT }),
  });
}
