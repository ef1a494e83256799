/**
 * Failures of an SSH connection in the project's terms: the one place that looks into the errors of
 * `ssh2`.
 *
 * @module
 */

import { AwsocksError, describeError, isAwsocksError } from "../core/mod.ts";
import type { Identity } from "./identity.ts";
import { describeIdentity } from "./identity.ts";

/** How far a handshake has come. */
export type HandshakePhase = "banner" | "key-exchange" | "authentication";

/** What is known of a handshake when it fails. */
export interface HandshakeFacts {
  readonly phase: HandshakePhase;
  readonly user: string;
  /** Identities offered so far, in order. */
  readonly tried: readonly Identity[];
  /** Methods that the server offers, as it said last. */
  readonly methods: readonly string[];
  /** Identities left out because servers allow few attempts. */
  readonly skipped: number;
  /** What the server sent before a banner, if anything; one printable line. */
  readonly greeting: string;
  /** Failures on the way that did not end the handshake, such as of signing with one key. */
  readonly asides: readonly Error[];
}

/** The properties that ssh2 puts on its errors, all optional. */
interface Ssh2Error {
  readonly level?: string;
  /** Reason code of a DISCONNECT message (RFC 4253 section 11.1); the message is its text. */
  readonly code?: unknown;
}

function levelOf(error: unknown): string | undefined {
  return (error as Ssh2Error | undefined)?.level;
}

function isDisconnect(error: unknown): boolean {
  return typeof (error as Ssh2Error | undefined)?.code === "number";
}

/** True for an error that ssh2 reports while it goes on with the next key. */
export function isAside(error: unknown): boolean {
  return levelOf(error) === "agent";
}

const PHASES: Record<HandshakePhase, string> = {
  "banner": "before the server's SSH banner",
  "key-exchange": "during the key exchange",
  "authentication": "during authentication",
};

/** A text of the server that can be shown: short, and without control characters. */
function printable(text: string): string {
  return text.replaceAll(/\p{C}+/gu, " ").trim().slice(0, 300);
}

/** The text of a failure for a message: no trailing stop, no prefix that the message has anyway. */
function reasonText(error: unknown): string {
  return printable(describeError(error)).replace(/\.+$/, "").replace(/^Handshake failed: /, "");
}

function notSsh(facts: HandshakeFacts): string {
  return facts.greeting ? `; it sent ${JSON.stringify(facts.greeting)}` : "";
}

function handshakeError(message: string, facts: HandshakeFacts, cause?: unknown): AwsocksError {
  return new AwsocksError("ssh-handshake-failed", message, {
    ...(cause === undefined ? {} : { cause }),
    facts: { phase: facts.phase },
  });
}

/**
 * The server refused every key, or ended the connection because it has seen enough of them. ssh2's own
 * error says nothing more, so that it is no cause worth a mention.
 */
function authError(facts: HandshakeFacts): AwsocksError {
  // The server would have taken this key, had the passphrase been right.
  const locked = facts.asides.find((aside) => isAwsocksError(aside, "ssh-key-passphrase"));
  if (isAwsocksError(locked)) return locked;
  const tried = facts.tried.map(describeIdentity).join(", ");
  const parts = [
    `The SSH server refuses user ${JSON.stringify(facts.user)}`,
    tried ? `tried ${tried}` : "no key could be tried",
  ];
  if (facts.skipped > 0) parts.push(`${facts.skipped} more not tried`);
  const methods = printable(facts.methods.join(", "));
  if (methods) parts.push(`the server offers ${methods}`);
  parts.push(...facts.asides.map(describeError));
  const needsOther = facts.methods.length > 0 && !facts.methods.includes("publickey");
  return new AwsocksError("ssh-auth-failed", parts.join("; "), {
    ...(needsOther
      ? { hint: "only public keys are supported; allow them in its sshd_config" }
      : {}),
    facts: { user: facts.user, tried: facts.tried.length, methods: facts.methods.join(",") },
  });
}

/** What ended a handshake; `error` is undefined when the connection just ended. */
export function handshakeFailure(error: unknown, facts: HandshakeFacts): AwsocksError {
  if (error instanceof AwsocksError) return error;
  if (levelOf(error) === "client-authentication") return authError(facts);
  if (facts.phase === "authentication" && isDisconnect(error)) {
    const failure = authError(facts);
    return new AwsocksError(failure.code, `${failure.message}; it says: ${reasonText(error)}`, {
      cause: error,
      facts: failure.facts,
    });
  }
  if (error instanceof Error && error.cause instanceof AwsocksError) return error.cause;
  if (facts.phase === "banner") {
    // Either the end of the connection, or bytes that are no identification string (RFC 4253, 4.2).
    const ended = error === undefined || levelOf(error) === "protocol";
    return ended
      ? handshakeError(`The connection ended ${PHASES.banner}${notSsh(facts)}`, facts)
      : handshakeError(
        `The other side is not an SSH server: ${reasonText(error)}${notSsh(facts)}`,
        facts,
        error,
      );
  }
  if (error === undefined) {
    return handshakeError(`The connection ended ${PHASES[facts.phase]}`, facts);
  }
  return handshakeError(
    `The SSH handshake failed ${PHASES[facts.phase]}: ${reasonText(error)}`,
    facts,
    error,
  );
}

/** No end of the handshake within its time. */
export function handshakeTimeout(ms: number, facts: HandshakeFacts): AwsocksError {
  return handshakeError(
    `The SSH handshake took longer than ${ms / 1000} s, still ${PHASES[facts.phase]}${
      facts.phase === "banner" ? notSsh(facts) : ""
    }`,
    facts,
  );
}

/** What ended an established connection; `error` is undefined when the server just ended it. */
export function closedError(error?: unknown): AwsocksError {
  if (error instanceof AwsocksError && error.code === "ssh-closed") return error;
  if (error === undefined) {
    return new AwsocksError("ssh-closed", "The SSH server ended the connection");
  }
  return new AwsocksError(
    "ssh-closed",
    isDisconnect(error)
      ? `The SSH server ended the connection: ${reasonText(error)}`
      : `The SSH connection was lost: ${reasonText(error)}`,
    { cause: error },
  );
}
