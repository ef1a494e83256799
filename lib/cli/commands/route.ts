/**
 * `awsocks route HOST[:PORT] [PROFILE]`.
 *
 * @module
 */

import type { Settings } from "../../config/mod.ts";
import { ExitCode } from "../../core/errors.ts";
import { formatTarget, type Target } from "../../core/target.ts";
import { createRouter, explainRoute, type Explanation } from "../../routing/mod.ts";
import type { App } from "../app.ts";
import { parseDestination } from "../destination.ts";
import { flagSettings, settingsOf } from "../settings.ts";
import { pad, plain, type Style } from "../style.ts";

/** Port of a destination that names none. */
const DEFAULT_PORT = 443;

/** Explains a route. */
export async function run(app: App): Promise<number> {
  const { command, terminal } = app;
  const [text = "", profile] = command.arguments;
  const target = parseDestination(text, DEFAULT_PORT);
  const { settings } = await settingsOf(app, {
    profile,
    values: flagSettings(command.flags),
    env: terminal.env,
    needsInstance: false,
  });
  const explanation = explainRoute(createRouter(settings.routing), target);
  terminal.stdout.write(
    command.flags["format"] === "json"
      ? `${JSON.stringify({ target, profile: settings.profile, ...explanation })}\n`
      : explain(target, settings, explanation, app.out.style),
  );
  return ExitCode.Ok;
}

function explain(
  target: Target,
  settings: Settings,
  { decision, matches }: Explanation,
  style: Style,
): string {
  const profile = settings.profile === undefined ? "" : style.dim(` (profile ${settings.profile})`);
  const lines = [
    `${style.bold(plain(formatTarget(target)))} → ${style.green(decision.route)}${profile}`,
    `  ${plain(decision.reason)}`,
    ...consequences(settings, decision).map((line) => `  ${line}`),
  ];
  if (matches.length > 0) {
    lines.push("", "Patterns that match, the one that counts first:");
    const width = Math.max(...matches.map(({ pattern }) => pattern.length));
    for (const { pattern, route, kind } of matches) {
      lines.push(`  ${pad(plain(pattern), width)}  ${pad(route, 9)}  ${style.dim(kind)}`);
    }
  }
  return `${lines.join("\n")}\n`;
}

/** What the route means where it is not the whole truth. */
function consequences(settings: Settings, decision: Explanation["decision"]): string[] {
  const { mode, lazy, lazyUntilReady, fallback } = settings;
  const lines: string[] = [];
  const other = mode === "vm" ? "vm-direct" : "direct";
  if (decision.route === "proxy") {
    if (lazy) {
      lines.push(
        decision.explicit || lazyUntilReady === "wait"
          ? "until the session is open it waits"
          : `until the session is open it goes ${other} (lazy-until-ready = "direct")`,
      );
    }
    if (fallback) {
      lines.push(`where the instance has no way to the network it goes ${other} (fallback)`);
    }
  }
  if (decision.route === "vm-direct" && mode !== "vm") {
    lines.push("refused: there is no VM in direct mode");
  }
  return lines;
}
