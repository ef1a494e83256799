/**
 * The one error type of the project and the one table that says what each failure means to the
 * outside: SOCKS reply, HTTP status, exit code and a hint for the user.
 *
 * Rooms throw {@linkcode AwsocksError} with a stable `code`, the `cause` and the facts as fields.
 * Nothing outside this file decides how a code is shown to a SOCKS client, an HTTP client or a shell.
 *
 * @module
 */

/** SOCKS5 reply codes, RFC 1928 section 6. */
export const SocksReply = {
  Succeeded: 0,
  GeneralFailure: 1,
  NotAllowed: 2,
  NetworkUnreachable: 3,
  HostUnreachable: 4,
  ConnectionRefused: 5,
  TtlExpired: 6,
  CommandNotSupported: 7,
  AddressTypeNotSupported: 8,
} as const;

/** A SOCKS5 reply code, 0 to 8. */
export type SocksReply = typeof SocksReply[keyof typeof SocksReply];

/** Exit codes of the command line, documented in `docs/configuration.md`. */
export const ExitCode = {
  Ok: 0,
  /** Something failed while running. */
  Failure: 1,
  /** Wrong flags, configuration or names: nothing was tried. */
  Usage: 2,
  /** No usable AWS credentials. */
  Credentials: 3,
  /** AWS or the instance refused or is not there. */
  Aws: 4,
  /** The session or the SSH connection inside it failed. */
  Session: 5,
  /** A command of somebody else's has no status of its own, as with env(1) and timeout(1). */
  NoStatus: 125,
  /** Stopped by SIGINT. */
  Interrupted: 130,
} as const;

/** What a failure looks like from outside. */
export interface Outcome {
  /** Reply sent to a SOCKS5 client. */
  readonly socks: SocksReply;
  /** Status sent to an HTTP CONNECT client. */
  readonly http: number;
  /** Exit code when the failure ends the program. */
  readonly exit: number;
  /** What the user can do about it; empty when the message says all. */
  readonly hint: string;
}

function row(socks: SocksReply, http: number, exit: number, hint = ""): Outcome {
  return { socks, http, exit, hint };
}

const R = SocksReply;
const X = ExitCode;

/** Every error code of the project with its outcome. */
export const OUTCOMES = {
  // The program itself
  "internal": row(R.GeneralFailure, 500, X.Failure, "this is a bug; please report it"),
  "usage": row(R.GeneralFailure, 400, X.Usage),
  "aborted": row(R.GeneralFailure, 503, X.Interrupted),
  "timeout": row(R.TtlExpired, 504, X.Failure),
  "unsupported-platform": row(R.GeneralFailure, 501, X.Usage),

  // Configuration
  "config-unreadable": row(R.GeneralFailure, 500, X.Usage),
  "config-invalid": row(
    R.GeneralFailure,
    500,
    X.Usage,
    "check the file with `awsocks config check`",
  ),
  "profile-unknown": row(R.GeneralFailure, 500, X.Usage),

  // Credentials
  "credentials-missing": row(
    R.GeneralFailure,
    502,
    X.Credentials,
    "set AWS_PROFILE, or `aws-profile` in the profile, or run `aws configure`",
  ),
  "credentials-expired": row(
    R.GeneralFailure,
    502,
    X.Credentials,
    "log in again; the new credentials are picked up while awsocks runs",
  ),
  "credentials-invalid": row(
    R.GeneralFailure,
    502,
    X.Credentials,
    "AWS does not know these keys; check the AWS profile in use",
  ),

  // AWS API
  "aws-access-denied": row(
    R.NotAllowed,
    502,
    X.Aws,
    "the IAM policy of the caller lacks this action",
  ),
  "aws-region-invalid": row(
    R.GeneralFailure,
    502,
    X.Aws,
    "set `region` in the profile or --region",
  ),
  "aws-throttled": row(
    R.GeneralFailure,
    503,
    X.Aws,
    "AWS asks for fewer requests; try again later",
  ),
  "aws-unreachable": row(
    R.NetworkUnreachable,
    502,
    X.Aws,
    "check the network, HTTPS_PROXY and the region",
  ),
  "aws-unavailable": row(R.GeneralFailure, 503, X.Aws),
  "aws-request-failed": row(R.GeneralFailure, 502, X.Aws),

  // The instance
  "instance-not-found": row(
    R.HostUnreachable,
    502,
    X.Aws,
    "check the instance id or Name tag, the region and the account",
  ),
  "instance-ambiguous": row(
    R.GeneralFailure,
    502,
    X.Usage,
    "name one of them with --instance-id, or use them all with --instances all",
  ),
  "instance-stopped": row(
    R.HostUnreachable,
    502,
    X.Aws,
    "start it, or set `auto-start = true` (--auto-start)",
  ),
  "instance-start-failed": row(R.HostUnreachable, 502, X.Aws),
  "agent-offline": row(
    R.NetworkUnreachable,
    502,
    X.Aws,
    "check that the SSM agent runs on the instance, its instance profile and its way out",
  ),

  // Session Manager
  "session-handshake-failed": row(R.NetworkUnreachable, 502, X.Session),
  "session-protocol-error": row(R.NetworkUnreachable, 502, X.Session),
  "session-closed": row(R.NetworkUnreachable, 502, X.Session),
  "session-lost": row(R.NetworkUnreachable, 502, X.Session),

  // Multiplexed streams
  "smux-protocol-error": row(R.NetworkUnreachable, 502, X.Session),
  "smux-closed": row(R.NetworkUnreachable, 502, X.Session),

  // Host and guest
  "vm-unavailable": row(R.NetworkUnreachable, 502, X.Usage),
  "vm-failed": row(R.NetworkUnreachable, 502, X.Session),
  "vsock-connect-failed": row(
    R.NetworkUnreachable,
    502,
    X.Session,
    "is the other side running, and listening there?",
  ),
  "tunnel-protocol-error": row(R.NetworkUnreachable, 502, X.Session),
  "tunnel-incompatible": row(
    R.NetworkUnreachable,
    502,
    X.Usage,
    "use the guest image that came with this version of awsocks",
  ),
  "tunnel-closed": row(R.NetworkUnreachable, 502, X.Session),

  // Commands run for the other side
  "exec-protocol-error": row(R.GeneralFailure, 502, X.NoStatus),
  "exec-closed": row(R.GeneralFailure, 502, X.NoStatus),
  "exec-failed": row(R.GeneralFailure, 502, X.NoStatus),

  // SSH
  "ssh-key-missing": row(
    R.GeneralFailure,
    502,
    X.Usage,
    "give one with `ssh-key` (--ssh-key), or start an ssh-agent",
  ),
  "ssh-key-invalid": row(R.GeneralFailure, 502, X.Usage),
  "ssh-key-passphrase": row(
    R.GeneralFailure,
    502,
    X.Usage,
    "give it by prompt, SSH_KEY_PASSPHRASE or an ssh-agent",
  ),
  "ssh-auth-failed": row(
    R.NotAllowed,
    502,
    X.Session,
    "check `ssh-user` and that the key is in its authorized_keys on the instance",
  ),
  "ssh-host-key-changed": row(
    R.NotAllowed,
    502,
    X.Session,
    "if the instance was rebuilt, remove its line from the known hosts file named above",
  ),
  "ssh-host-key-unknown": row(
    R.NotAllowed,
    502,
    X.Session,
    "add its key to a known hosts file under the instance id",
  ),
  "ssh-handshake-failed": row(R.NetworkUnreachable, 502, X.Session),
  "ssh-closed": row(R.NetworkUnreachable, 502, X.Session),

  // The destination
  "destination-refused": row(R.ConnectionRefused, 502, X.Failure),
  "destination-unreachable": row(R.HostUnreachable, 502, X.Failure),
  "destination-network-unreachable": row(R.NetworkUnreachable, 502, X.Failure),
  "destination-name-unknown": row(R.HostUnreachable, 502, X.Failure),
  "destination-timeout": row(R.TtlExpired, 504, X.Failure),
  "destination-prohibited": row(
    R.NotAllowed,
    403,
    X.Failure,
    "the instance's sshd refuses forwarding there: see AllowTcpForwarding and PermitOpen",
  ),
  "destination-failed": row(R.GeneralFailure, 502, X.Failure),

  // Routing and the proxy
  "route-blocked": row(R.NotAllowed, 403, X.Failure),
  "backend-unavailable": row(R.NetworkUnreachable, 503, X.Session),
  "backend-closed": row(R.GeneralFailure, 503, X.Failure),
  "listen-failed": row(R.GeneralFailure, 500, X.Failure, "is another program using the address?"),
  "listen-open": row(
    R.GeneralFailure,
    500,
    X.Usage,
    "set a user and password, listen on 127.0.0.1, or pass --allow-open",
  ),
  "proxy-protocol-error": row(R.GeneralFailure, 400, X.Failure),
  "proxy-auth-failed": row(R.NotAllowed, 407, X.Failure),
  "proxy-command-unsupported": row(R.CommandNotSupported, 405, X.Failure),
  "proxy-address-unsupported": row(R.AddressTypeNotSupported, 400, X.Failure),
  "proxy-handshake-timeout": row(R.TtlExpired, 408, X.Failure),
  "proxy-too-many-connections": row(R.GeneralFailure, 503, X.Failure),
} as const satisfies Record<string, Outcome>;

/** A stable error code. */
export type ErrorCode = keyof typeof OUTCOMES;

/** Options of {@linkcode AwsocksError}. */
export interface AwsocksErrorOptions extends ErrorOptions {
  /** Facts of the failure: operation, address, session id, AWS request id. Never a secret. */
  readonly facts?: Readonly<Record<string, string | number | boolean | undefined>>;
  /** Replaces the hint of the table where this failure knows a better one. */
  readonly hint?: string;
}

/**
 * A failure that a caller may handle, with a stable code.
 *
 * The message is one line in sentence case without a full stop: what was tried, on what, and why it
 * failed. It may be shown to the user as it is.
 */
export class AwsocksError extends Error {
  override readonly name = "AwsocksError";
  /** Stable code; the key of {@linkcode OUTCOMES}. */
  readonly code: ErrorCode;
  /** Facts of the failure. */
  readonly facts: Readonly<Record<string, string | number | boolean | undefined>>;
  /** What the user can do about it. */
  readonly hint: string;

  constructor(code: ErrorCode, message: string, options: AwsocksErrorOptions = {}) {
    super(message, "cause" in options ? { cause: options.cause } : undefined);
    this.code = code;
    this.facts = options.facts ?? {};
    this.hint = options.hint ?? OUTCOMES[code].hint;
  }

  /** What this failure looks like from outside; that of its root cause where it only wraps one. */
  get outcome(): Outcome {
    return OUTCOMES[this.rootCode];
  }

  /** Its code; that of its root cause where it only wraps one. */
  get rootCode(): ErrorCode {
    const { code, cause } = this;
    return WRAPPERS.has(code) && cause instanceof AwsocksError ? cause.rootCode : code;
  }
}

/** Codes that only say "not now" and leave the meaning to their cause. */
const WRAPPERS: ReadonlySet<ErrorCode> = new Set(["backend-unavailable"]);

/** True for an {@linkcode AwsocksError}, with one of the given codes if any are given. */
export function isAwsocksError(error: unknown, ...codes: ErrorCode[]): error is AwsocksError {
  return error instanceof AwsocksError && (codes.length === 0 || codes.includes(error.code));
}

/**
 * Any thrown value as an {@linkcode AwsocksError}: itself if it is one, `aborted` or `timeout` for an
 * abort, else wrapped under the given code with its message.
 */
export function toAwsocksError(error: unknown, code: ErrorCode = "internal"): AwsocksError {
  if (error instanceof AwsocksError) return error;
  if (error instanceof DOMException) {
    if (error.name === "AbortError") {
      return new AwsocksError("aborted", "Aborted", { cause: error });
    }
    if (error.name === "TimeoutError") {
      return new AwsocksError("timeout", "Timed out", { cause: error });
    }
  }
  const message = error instanceof Error ? error.message : String(error);
  return new AwsocksError(code, message || "Unknown failure", { cause: error });
}

/** The outcome of any thrown value. */
export function outcomeOf(error: unknown): Outcome {
  return toAwsocksError(error).outcome;
}

/**
 * Messages of an error and its causes, outermost first, on one line. A cause whose point was made
 * already, as in "refused: Connection refused (os error 111)", is left out.
 */
export function describeError(error: unknown): string {
  const parts: string[] = [];
  for (let at: unknown = error, depth = 0; at !== undefined && at !== null && depth < 8; depth++) {
    const message = (at instanceof Error ? at.message || at.name : String(at)).trim();
    if (!parts.join(": ").toLowerCase().includes(pointOf(message))) parts.push(message);
    at = at instanceof Error ? at.cause : undefined;
  }
  return parts.join(": ").replaceAll(/\s*\n\s*/g, " ");
}

/**
 * Messages of a failure and of the causes of the project's own making, on one line: what a person is
 * told. What libraries say in words of theirs is for the log.
 */
export function explainError(error: unknown): string {
  const parts: string[] = [];
  for (let at: unknown = toAwsocksError(error); at instanceof AwsocksError; at = at.cause) {
    const { message } = at;
    if (!parts.some((earlier) => earlier.includes(message))) parts.push(message);
  }
  return parts.join(": ").replaceAll(/\s*\n\s*/g, " ");
}

/** The last part of a message, without its error number. */
function pointOf(message: string): string {
  return message.toLowerCase().replace(/\s*\(os error \d+\)$/, "").split(": ").at(-1)!;
}
