/**
 * Failures as a person sees them: `awsocks: message`, then a line that says what to try.
 *
 * @module
 */

import { AwsocksError, ExitCode, toAwsocksError } from "../core/errors.ts";
import { createStyle, plain } from "./style.ts";
import { explainUsage, UsageError } from "./usage_error.ts";

/** A failure in words. */
export interface Report {
  /** One line, or one line for each problem of a file. */
  readonly message: string;
  /** What to do about it; empty when the message says all. */
  readonly hint: string;
  readonly exit: number;
}

/** Any thrown value in words. */
export async function reportOf(error: unknown): Promise<Report> {
  if (error instanceof UsageError) {
    return { ...await explainUsage(error), exit: ExitCode.Usage };
  }
  const known = toAwsocksError(error);
  const messages: string[] = [];
  let hint = "";
  // Causes of our own say why; those of libraries say it in words of theirs, which the log has.
  for (let at: unknown = known; at instanceof AwsocksError; at = at.cause) {
    const { message } = at;
    if (!messages.some((earlier) => earlier.includes(message))) messages.push(message);
    hint ||= at.hint;
  }
  return { message: messages.join(": "), hint, exit: known.outcome.exit };
}

/** The lines to write for a report of a program. */
export function formatReport(report: Report, color: boolean, program = "awsocks"): string {
  const style = createStyle(color);
  const [first = "", ...more] = report.message.split("\n").map((line) => plain(line));
  const lines = [`${style.red(`${program}:`)} ${first}`, ...more.map((line) => `  ${line.trim()}`)];
  if (report.hint !== "") lines.push(`${style.dim("try:")} ${plain(report.hint)}`);
  return `${lines.join("\n")}\n`;
}
