/**
 * An OpenSSH server on a loopback port, with its own host key and authorized keys, as the current
 * user.
 *
 * @module
 */

import { userInfo } from "node:os";

/** Where Debian, Fedora and macOS have it; sshd insists on being called by its absolute path. */
const SSHD_PATHS = ["/usr/sbin/sshd", "/usr/local/sbin/sshd", "/opt/homebrew/sbin/sshd"];

/** What to do about a skipped test. */
export const SSHD_REMEDY = "needs OpenSSH: apt-get install openssh-server openssh-client";

/** Path of sshd, if it and ssh-keygen are installed. */
export function findSshd(): string | undefined {
  try {
    new Deno.Command("ssh-keygen", { args: ["-?"], stdout: "null", stderr: "null" }).outputSync();
  } catch {
    return undefined;
  }
  return SSHD_PATHS.find((path) => {
    try {
      return Deno.statSync(path).isFile;
    } catch {
      return false;
    }
  });
}

/** Options of {@linkcode startSshd}. */
export interface SshdOptions {
  /** Public keys that may log in, one line each. */
  readonly authorizedKeys: readonly string[];
  /** Private host key file; default a new ed25519 key. */
  readonly hostKey?: string;
  /** Lines of sshd_config that go before the built-in ones, and so win. */
  readonly config?: readonly string[];
}

/** A running server. */
export interface Sshd extends AsyncDisposable {
  readonly port: number;
  /** User that may log in. */
  readonly user: string;
  /** Private host key; the public one is beside it with `.pub`. */
  readonly hostKeyPath: string;
  /** Lines that it has logged so far. */
  readonly log: readonly string[];
  /** Stops it and removes its files; connections end. */
  close(): Promise<void>;
}

/** Runs ssh-keygen quietly. @throws Error with its output */
export async function sshKeygen(...args: string[]): Promise<string> {
  const command = new Deno.Command("ssh-keygen", { args, stdout: "piped", stderr: "piped" });
  const { success, stdout, stderr } = await command.output();
  const text = new TextDecoder();
  if (!success) throw new Error(`ssh-keygen ${args.join(" ")}: ${text.decode(stderr)}`);
  return text.decode(stdout);
}

/** A port that was free a moment ago: whoever needs it has to be ready for it to be taken. */
export function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

/** Starts a server; it listens when this resolves. */
export async function startSshd(options: SshdOptions): Promise<Sshd> {
  const sshd = findSshd();
  if (!sshd) throw new Error(SSHD_REMEDY);
  const dir = await Deno.makeTempDir({ prefix: "awsocks-sshd-" });
  try {
    const hostKeyPath = options.hostKey ?? `${dir}/host_key`;
    if (!options.hostKey) await sshKeygen("-q", "-t", "ed25519", "-N", "", "-f", hostKeyPath);
    await Deno.writeTextFile(`${dir}/authorized_keys`, options.authorizedKeys.join("\n") + "\n");
    // Its privilege separation needs this directory; a service manager would make it.
    if (Deno.uid() === 0) await Deno.mkdir("/run/sshd", { recursive: true, mode: 0o755 });
    // Between finding a free port and using it somebody else may take it.
    for (let attempt = 1;; attempt++) {
      const port = freePort();
      await Deno.writeTextFile(
        `${dir}/sshd_config`,
        [
          ...(options.config ?? []),
          `ListenAddress 127.0.0.1:${port}`,
          `HostKey ${hostKeyPath}`,
          `AuthorizedKeysFile ${dir}/authorized_keys`,
          "PasswordAuthentication no",
          "KbdInteractiveAuthentication no",
          "PermitRootLogin yes",
          "StrictModes no",
          "UsePAM no",
          "PidFile none",
          "MaxStartups 100",
        ].join("\n") + "\n",
      );
      const server = await launch(sshd, dir, port);
      if (server) return { ...server, hostKeyPath };
      if (attempt === 5) throw new Error("sshd finds no free port");
    }
  } catch (error) {
    await Deno.remove(dir, { recursive: true });
    throw error;
  }
}

async function launch(
  sshd: string,
  dir: string,
  port: number,
): Promise<Omit<Sshd, "hostKeyPath"> | undefined> {
  const child = new Deno.Command(sshd, {
    args: ["-D", "-e", "-f", `${dir}/sshd_config`],
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  const log: string[] = [];
  const started = Promise.withResolvers<boolean>();
  const reader = child.stderr.pipeThrough(new TextDecoderStream()).getReader();
  const logging = (async () => {
    let rest = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) break;
      const lines = (rest + value).split(/\r?\n/);
      rest = lines.pop()!;
      log.push(...lines);
      if (lines.some((line) => line.startsWith("Server listening on"))) started.resolve(true);
    }
    started.resolve(false);
  })();
  if (!await started.promise) {
    await child.status;
    if (log.some((line) => /Address already in use|Cannot bind/.test(line))) return undefined;
    throw new Error(`sshd does not start: ${log.join(" | ")}`);
  }
  let closing: Promise<void> | undefined;
  const close = () =>
    closing ??= (async () => {
      child.kill("SIGTERM");
      await child.status;
      // Processes of connections that are still open share the pipe, so it may have no end yet.
      await reader.cancel();
      await logging;
      await Deno.remove(dir, { recursive: true });
    })();
  return { port, user: userInfo().username, log, close, [Symbol.asyncDispose]: close };
}
