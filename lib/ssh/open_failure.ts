/**
 * What a refused `direct-tcpip` channel means: the one place that reads the texts of SSH servers.
 *
 * CHANNEL_OPEN_FAILURE has a reason code and a free text (RFC 4254 section 5.1). The code for "connect
 * failed" covers everything that can go wrong between the server and the destination; only the text
 * tells it apart, and each server has its own: `strerror` and `gai_strerror` of glibc, musl, macOS
 * and the BSDs (OpenSSH, Dropbear), Windows' messages and error numbers (OpenSSH for Windows,
 * Bitvise), Go's `net` errors, Node's codes (ssh2), Java's exceptions (MINA SSHD).
 *
 * @module
 */

import { AwsocksError, type ErrorCode, formatTarget, type Target } from "../core/mod.ts";

/** Reason codes of RFC 4254 section 5.1. */
export const OpenFailureReason = {
  AdministrativelyProhibited: 1,
  ConnectFailed: 2,
  UnknownChannelType: 3,
  ResourceShortage: 4,
} as const;

/** First match wins. */
const TEXTS: readonly (readonly [RegExp, ErrorCode])[] = [
  [
    /name or service not known|name does not resolve|(node|host)name nor servname|no such host|host not found|unknown ?host|unresolved ?address|no address associated|name resolution|resolv|enotfound|eai_|enodata|server misbehaving|try again|\b1100[1-4]\b/i,
    "destination-name-unknown",
  ],
  [/refused|econnrefused|wsaeconnrefused|\b10061\b/i, "destination-refused"],
  [/time[d ]?-? ?out|etimedout|did not properly respond|\b10060\b/i, "destination-timeout"],
  [
    /network (is )?unreachable|unreachable network|enetunreach|network is down|enetdown|\b1005[01]\b/i,
    "destination-network-unreachable",
  ],
  [
    /no route to host|host (is )?unreachable|unreachable host|ehostunreach|host is down|ehostdown|\b1006[45]\b/i,
    "destination-unreachable",
  ],
  [
    /prohibited|not permitted|permission denied|not allowed|denied|forbidden|disabled|eacces|eperm\b|\b10013\b/i,
    "destination-prohibited",
  ],
];

const PROHIBITED = "the SSH server refuses to forward there";

/** What the server said about a channel that it did not open. */
export interface OpenFailure {
  /** Reason code; undefined when the server closed the channel instead of answering. */
  readonly reason: number | undefined;
  /** Free text in whatever words the server has; may be empty. */
  readonly description: string;
}

/** The description without the destination, whose name or port could look like a cause. */
function withoutTarget(description: string, { host, port }: Target): string {
  return description.replaceAll(host, "").replaceAll(`:${port}`, "");
}

function codeOf(failure: OpenFailure, target: Target): ErrorCode {
  switch (failure.reason) {
    case OpenFailureReason.AdministrativelyProhibited:
    case OpenFailureReason.UnknownChannelType:
      return "destination-prohibited";
    case OpenFailureReason.ResourceShortage:
      return "destination-failed";
    default: {
      const text = withoutTarget(failure.description, target);
      return TEXTS.find(([pattern]) => pattern.test(text))?.[1] ?? "destination-failed";
    }
  }
}

function explain(failure: OpenFailure, code: ErrorCode): string {
  // Printable and short: it is the server's text, and it ends in a log line.
  const said = failure.description.replaceAll(/[^\x20-\x7e\u00a0-\uffff]+/g, " ").trim()
    .slice(0, 200);
  switch (failure.reason) {
    case OpenFailureReason.AdministrativelyProhibited:
      // OpenSSH's text is "open failed" whatever the reason.
      return said && said !== "open failed" ? `${PROHIBITED}: ${said}` : PROHIBITED;
    case OpenFailureReason.UnknownChannelType:
      return "the SSH server offers no TCP forwarding";
    case OpenFailureReason.ResourceShortage:
      return `the SSH server is short of resources${said ? `: ${said}` : ""}`;
    case undefined:
      return "the SSH server closed the channel without a reason";
  }
  if (said && said !== "open failed") return said;
  return code === "destination-failed" ? "the SSH server gives no reason" : said;
}

/**
 * Before 8.0 or so OpenSSH says "connect failed: open failed" for a name that it cannot resolve and
 * for a destination that it may not forward to alike.
 */
const SILENT_HINT =
  "an older sshd says so when it cannot resolve the name, or when AllowTcpForwarding or PermitOpen forbid it";

/** The failure of a dial as the outside sees it. */
export function openFailureError(target: Target, failure: OpenFailure): AwsocksError {
  const code = codeOf(failure, target);
  const silent = code === "destination-failed" &&
    failure.reason === OpenFailureReason.ConnectFailed &&
    /^(open failed)?$/.test(failure.description.trim());
  return new AwsocksError(
    code,
    `Cannot connect to ${formatTarget(target)}: ${explain(failure, code)}`,
    {
      ...(silent ? { hint: SILENT_HINT } : {}),
      facts: { host: target.host, port: target.port, reason: failure.reason },
    },
  );
}
