/**
 * `awsocks start [PROFILE]`.
 *
 * @module
 */

import { ExitCode } from "../../core/errors.ts";
import { getLog } from "../../core/log.ts";
import { routingNotices } from "../../routing/mod.ts";
import { type App, startLogging } from "../app.ts";
import { createProxy, type Proxy } from "../proxy.ts";
import { type Ready, readyJson, readyText } from "../ready.ts";
import { type ChosenSettings, flagSettings, type KeyValues, settingsOf } from "../settings.ts";
import { UsageError } from "../usage_error.ts";

/** Runs the proxy until a signal. */
export async function run(app: App): Promise<number> {
  const { command, lifetime, terminal } = app;
  await startLogging(app);
  lifetime.listen();

  const sandbox = await sandboxOf(app);
  const env = sandbox?.env ?? terminal.env;
  const values: KeyValues = flagSettings(command.flags);
  const chosen = await settingsOf(app, {
    profile: command.arguments[0],
    values: sandbox?.fill(values) ?? values,
    env,
    needsInstance: true,
  });
  logNotices(chosen);
  const proxy = await createProxy(app, { settings: chosen.settings, env, ...sandbox?.proxy });
  await proxy.manager.start({ signal: lifetime.signal });
  proxy.progress.clear();
  proxy.warmUp();
  announce(app, readyOf(chosen, proxy, sandbox?.sandbox.siteUrl));
  await lifetime.ended();
  return ExitCode.Ok;
}

/** The sandbox of `--sandbox`, running. */
async function sandboxOf(app: App) {
  const { sandbox: switches, sshd } = app.command.flags;
  if (switches === undefined || switches === false) {
    if (sshd !== undefined) throw new UsageError("--sshd belongs to --sandbox");
    return undefined;
  }
  const { openSandbox } = await import("../sandbox.ts");
  return await openSandbox(app, {
    switches: switches === true ? undefined : switches as string,
    sshd: sshd as string | undefined,
  });
}

function logNotices({ settings: { routing, mode }, notices }: ChosenSettings): void {
  const log = getLog("cli");
  for (const notice of [...notices, ...routingNotices(routing, mode)]) {
    log.warn("{notice}", { notice });
  }
}

function readyOf({ settings }: ChosenSettings, proxy: Proxy, sandboxPage?: string): Ready {
  return {
    listen: proxy.manager.address!,
    authentication: settings.proxyUser !== undefined,
    profile: settings.profile,
    instance: settings.instanceId ?? settings.name!,
    region: proxy.region,
    mode: settings.mode,
    lazy: settings.lazy,
    sandboxPage,
  };
}

/** Standard output gets it: a script may wait for it. */
function announce(app: App, ready: Ready): void {
  const { stdout } = app.terminal;
  if (app.command.log.format === "json") stdout.write(readyJson(ready));
  else if (app.command.flags["quiet"] !== true) stdout.write(readyText(ready, app.out.style));
}
