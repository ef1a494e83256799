/**
 * The services written by somebody else, in Python, with OpenSSH's sshd as the instance's port 22.
 *
 * @module
 */

import { need } from "./external.ts";
import { findSshd, type Sshd, SSHD_REMEDY, sshKeygen, startSshd } from "./sshd.ts";
import { webSite } from "./web_site.ts";

const SCRIPT = new URL("../interop/foreign_service.py", import.meta.url).pathname;

/** Programs without which it does not run. */
export const FOREIGN_NEEDS = [need("python3"), findSshd() ? "" : SSHD_REMEDY, need("curl")];

/** Text on the page behind the SSH server. */
export const FOREIGN_TEXT = "Hello from behind a foreign service";

/** A session as the service saw it. */
export interface ForeignSession {
  readonly id: string;
  readonly live: boolean;
  /** Successful calls of ResumeSession. */
  readonly resumes: number;
  /** Different ClientIds. */
  readonly client_ids: number;
  /** Keys of OpenDataChannel; one list when all had the same. */
  readonly open_keys: readonly (readonly string[])[];
  /** Sequenced messages from and to the client. */
  readonly input: number;
  readonly output: number;
}

/** What the service saw until its end. */
export interface ForeignReport {
  /** Operations in the order of their calls. */
  readonly calls: readonly string[];
  /** Why data channels were refused. */
  readonly refused: readonly string[];
  readonly sessions: readonly ForeignSession[];
}

/** Options of {@linkcode startForeignService}. */
export interface ForeignOptions {
  /** Certificate and key files: `https:` and `wss:` are served. */
  readonly tls?: { readonly cert: string; readonly key: string };
  /** Host name in its addresses; default 127.0.0.1. */
  readonly host?: string;
  /** Closes a WebSocket with code 1000 after so many bytes of output. */
  readonly bye?: number;
}

/** A running service. */
export interface ForeignService extends AsyncDisposable {
  /** All that leads a client there. */
  readonly env: Readonly<Record<string, string>>;
  readonly instanceId: string;
  /** Flags of `awsocks start` for its instance. */
  readonly args: readonly string[];
  /** Web site that the instance reaches. */
  readonly site: string;
  readonly sshd: Sshd;
  /** Ends the service; what it saw. */
  report(): Promise<ForeignReport>;
}

/** Starts everything. */
export async function startForeignService(options: ForeignOptions = {}): Promise<ForeignService> {
  await using stack = new AsyncDisposableStack();
  const folder = await Deno.makeTempDir({ prefix: "awsocks-foreign-" });
  stack.defer(() => Deno.remove(folder, { recursive: true }));
  const sshKey = `${folder}/id_ed25519`;
  await sshKeygen("-q", "-t", "ed25519", "-N", "", "-f", sshKey);
  const sshd = stack.use(
    await startSshd({ authorizedKeys: [await Deno.readTextFile(`${sshKey}.pub`)] }),
  );
  const site = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    webSite(FOREIGN_TEXT),
  );
  stack.defer(() => site.shutdown());
  const service = stack.use(spawnService(sshd.port, options));
  const facts = JSON.parse(await service.line()) as Pick<ForeignService, "env" | "instanceId">;
  const all = stack.move();
  return {
    ...facts,
    args: ["-i", facts.instanceId, "-k", sshKey, "-u", sshd.user],
    site: `http://127.0.0.1:${site.addr.port}/`,
    sshd,
    report: async () => JSON.parse(await service.end()) as ForeignReport,
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  };
}

/** The Python program: says a line at the start, and another one after the end of its input. */
function spawnService(sshPort: number, { tls, host, bye }: ForeignOptions) {
  const child = new Deno.Command("python3", {
    args: [
      ...["-B", SCRIPT, `${sshPort}`],
      ...(tls ? ["--tls", tls.cert, tls.key] : []),
      ...(host ? ["--host", host] : []),
      ...(bye ? ["--bye", `${bye}`] : []),
    ],
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  let ending: Promise<string> | undefined;
  const line = async () => {
    let text = "";
    while (!text.endsWith("\n")) {
      const { value, done } = await reader.read();
      if (done) throw new Error("foreign_service.py has ended early");
      text += value;
    }
    return text;
  };
  const end = () =>
    ending ??= (async () => {
      await child.stdin.close();
      const text = await line();
      await child.status;
      await reader.cancel();
      return text;
    })();
  return { line, end, [Symbol.asyncDispose]: async () => void await end() };
}
