/**
 * `awsocks config check [FILE]`.
 *
 * @module
 */

import { AwsocksError, ExitCode } from "../../core/errors.ts";
import { type ConfigFile, resolveSettings, type Settings } from "../../config/mod.ts";
import { createRouter } from "../../routing/mod.ts";
import type { App } from "../app.ts";
import { configPathOf, homeOf, profileDetail, readConfig, validatePattern } from "../settings.ts";
import { pad, plain, type Style } from "../style.ts";

/** Checks a configuration file. */
export async function run(app: App): Promise<number> {
  const { command, terminal, out } = app;
  const file = await readConfig(app, command.arguments[0] ?? configPathOf(app));
  if (!file.exists) {
    throw new AwsocksError("config-unreadable", `There is no configuration at ${file.path}`, {
      hint: "`awsocks config init` writes one to start from",
    });
  }
  const profiles = [...file.profiles.keys()].map((name) => ({ name, ...check(app, file, name) }));
  terminal.stdout.write(summary(file, profiles, out.style));
  return ExitCode.Ok;
}

/** Merges a profile as `start` would, which finds what does not go together. */
function check(app: App, file: ConfigFile, profile: string) {
  const home = homeOf(app.terminal.env);
  // Without the environment: it is the file that is checked.
  const resolved = resolveSettings({ env: {}, file, profile, home, validatePattern });
  createRouter(resolved.settings.routing);
  return resolved;
}

interface CheckedProfile {
  readonly name: string;
  readonly settings: Settings;
  readonly notices: readonly string[];
}

function summary(file: ConfigFile, profiles: readonly CheckedProfile[], style: Style): string {
  const lines = [`${style.green("✓")} ${plain(file.path ?? "")} is valid`];
  const width = Math.max(0, ...profiles.map(({ name }) => name.length));
  for (const { name, settings, notices } of profiles) {
    const detail = profileDetail(file, name);
    const { routing, instanceId, name: tag } = settings;
    const patterns = (["proxy", "direct", "vmDirect", "block"] as const)
      .map((list) => routing[list].length).reduce((a, b) => a + b);
    const facts = [
      detail,
      `default ${routing.default}, ${patterns} ${patterns === 1 ? "pattern" : "patterns"}`,
    ].filter((fact) => fact !== "");
    lines.push(`  ${style.bold(pad(plain(name), width))}  ${plain(facts.join(" · "))}`);
    const remarks = [...notices];
    if (instanceId === undefined && tag === undefined) {
      remarks.unshift("has neither instance-id nor name, so --instance-id or --name is needed");
    }
    for (const remark of remarks) lines.push(`    ${style.yellow("!")} ${plain(remark)}`);
  }
  if (profiles.length === 0) lines.push("  it has no profiles");
  for (const notice of file.notices) lines.push(`${style.yellow("!")} ${plain(notice)}`);
  return `${lines.join("\n")}\n`;
}
