/**
 * Sessions with the original library, github.com/xtaci/smux, on the other end: the version that SSM
 * agents contain, and a recent one that knows half-close.
 *
 * @module
 */

import assert from "node:assert/strict";
import { tmpdir } from "node:os";
import { DenoConn, readAll, readFull, writeAll } from "../../lib/core/mod.ts";
import {
  createSmuxSession,
  type SmuxOptions,
  type SmuxSession,
  type SmuxStream,
} from "../../lib/smux/mod.ts";
import { pattern } from "../smux/bytes.ts";

const SOURCE = new URL("../fixtures/smux_peer/", import.meta.url);

/** Peers by the library's version, with the module file that names it. */
const LIBRARIES = { "1.5.15": "agent.mod", "1.5.57": "go.mod" } as const;
type Library = keyof typeof LIBRARIES;

/** Modules and compiled packages are kept between runs: compiling Go's own takes half a minute. */
const cache = `${tmpdir()}/awsocks-go-cache`;
const GO_ENVIRONMENT = {
  GOCACHE: `${cache}/build`,
  GOMODCACHE: `${cache}/modules`,
  GOPATH: `${cache}/path`,
  GOFLAGS: "-modcacherw",
  GOTOOLCHAIN: "local",
};

async function go(args: string[]): Promise<string | undefined> {
  try {
    const { success, stderr } = await new Deno.Command("go", {
      args,
      cwd: SOURCE,
      env: GO_ENVIRONMENT,
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    }).output();
    return success ? undefined : new TextDecoder().decode(stderr).trim();
  } catch (error) {
    return String(error);
  }
}

/** What is missing to build the peer; empty if nothing is. */
async function missing(): Promise<string> {
  if (await go(["version"])) return " (skipped: needs Go, https://go.dev/dl)";
  for (const file of Object.values(LIBRARIES)) {
    const failure = await go(["mod", "download", `-modfile=${file}`]);
    if (failure) return ` (skipped: needs the Go module proxy once: ${failure.split("\n")[0]})`;
  }
  return "";
}

const remedy = await missing();
const test = (name: string, fn: () => Promise<void>) =>
  Deno.test({ name: name + remedy, ignore: remedy !== "", fn });

const built = new Map<Library, Promise<string>>();

/** Path of the peer, built when first asked for. */
function peerWith(library: Library): Promise<string> {
  let path = built.get(library);
  if (!path) {
    path = (async () => {
      const output = `${cache}/smux_peer_${library}${Deno.build.os === "windows" ? ".exe" : ""}`;
      const failure = await go(["build", `-modfile=${LIBRARIES[library]}`, "-o", output, "."]);
      if (failure) throw new Error(`The peer cannot be built: ${failure}`);
      return output;
    })();
    built.set(library, path);
  }
  return path;
}

interface Case {
  library: Library;
  /** Our side. */
  options: SmuxOptions;
  /** What the peer does with our streams: echo, or wait for the end of the input before. */
  operation: "E" | "H";
  /** Window of the peer, its streams, and bytes per stream. */
  window: number;
  streams: number;
  size: number;
}

/** A session with a peer that serves our streams and opens streams of its own. */
async function withPeer(each: Case, work: (session: SmuxSession) => Promise<void>): Promise<void> {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const peer = new Deno.Command(await peerWith(each.library), {
    args: [
      `-address=127.0.0.1:${listener.addr.port}`,
      `-role=${each.options.role === "client" ? "server" : "client"}`,
      `-version=${each.options.version}`,
      `-window=${each.window}`,
      `-streams=${each.streams}`,
      `-size=${each.size}`,
    ],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  using session = createSmuxSession(new DenoConn(await listener.accept()), each.options);
  const served: Promise<void>[] = [];
  const serving = (async () => {
    for await (const stream of session.accept()) {
      const job = answer(stream, each.options);
      // Awaited at the end, after what the peer has to say.
      job.catch(() => {});
      served.push(job);
    }
  })();
  const errors = text(peer.stderr);
  const output = peer.stdout.pipeThrough(new TextDecoderStream()).getReader();
  // The peer says so when its own streams are done, or nothing when it fails.
  const said = output.read();
  let failure: unknown;
  try {
    await work(session);
    await said;
  } catch (error) {
    failure = error;
  }
  session.close();
  await serving;
  const complaints = await errors;
  const { code } = await peer.status;
  await output.cancel();
  // A failure here may have made the peer fail as well, or the other way round.
  if (failure) throw new Error(`The peer says: ${complaints}`, { cause: failure });
  assert.deepEqual([code, complaints, (await said).value], [0, "", "ok\n"]);
  await Promise.all(served);
  assert.equal(served.length, each.streams);
}

async function text(stream: ReadableStream<Uint8Array>): Promise<string> {
  return (await Array.fromAsync(stream.pipeThrough(new TextDecoderStream()))).join("");
}

/** Header of a stream: operation and length. */
function header(operation: "E" | "H", size: number): Uint8Array {
  const bytes = new Uint8Array(9);
  bytes[0] = operation.charCodeAt(0);
  new DataView(bytes.buffer).setBigUint64(1, BigInt(size), true);
  return bytes;
}

/** Serves a stream that the peer has opened. */
async function answer(stream: SmuxStream, options: SmuxOptions): Promise<void> {
  const head = new Uint8Array(9);
  assert.ok(await readFull(stream, head));
  const buffer = new Uint8Array(10_000);
  let left = Number(new DataView(head.buffer).getBigUint64(1, true));
  while (left > 0) {
    const n = await stream.read(buffer.subarray(0, Math.min(left, buffer.byteLength)));
    assert.ok(n, "the peer has ended its stream early");
    await writeAll(stream, buffer.subarray(0, n));
    left -= n;
  }
  await stream.closeWrite();
  // With full close it is close() that ends the stream, else the peer ends its side as well.
  if (options.halfClose ?? options.version === 2) {
    assert.equal(await stream.read(new Uint8Array(1)), null);
  }
  stream.close();
}

/** Opens a stream of our own and expects back what it sends. */
async function ask(session: SmuxSession, each: Case, seed: number): Promise<void> {
  const stream = await session.open();
  const data = pattern(seed, 0, each.size);
  const send = async () => {
    await writeAll(stream, header(each.operation, each.size));
    await writeAll(stream, data);
    if (each.operation === "H") await stream.closeWrite();
  };
  const [back] = await Promise.all([readAll(stream), send()]);
  // Not deepEqual, which takes minutes to describe the difference.
  assert.equal(back.byteLength, data.byteLength);
  assert.ok(back.every((byte, i) => byte === data[i]));
  await stream.closeWrite();
  stream.close();
}

/** Streams of ours and of the peer at the same time. */
async function exchange(each: Case): Promise<void> {
  await withPeer(each, async (session) => {
    await Promise.all(Array.from({ length: each.streams }, (_, i) => ask(session, each, i)));
  });
}

const MIB = 1024 * 1024;

for (const library of Object.keys(LIBRARIES) as Library[]) {
  for (const role of ["client", "server"] as const) {
    for (const version of [1, 2] as const) {
      // The older one takes FIN for a full close in version 2 as well.
      const halfClose = version === 2 && library !== "1.5.15";
      const name = `smux ${library}, version ${version}, this end is the ${role}`;

      test(`${name}: many streams both ways`, async () => {
        await exchange({
          library,
          options: { role, version, halfClose, maxStreamBuffer: 100_000 },
          operation: "E",
          window: 10_000,
          // Echoes both ways with more than its 4 MiB under way would lock up version 1 for good.
          streams: version === 1 ? 15 : 50,
          size: 100_000,
        });
      });

      test(`${name}: more than a window, and any defaults`, async () => {
        await exchange({
          library,
          options: { role, version, halfClose },
          operation: "E",
          window: 65_536,
          streams: 3,
          size: version === 1 ? 500_000 : 5 * MIB,
        });
      });

      if (!halfClose) continue;
      test(`${name}: the end of our output leaves the answer whole`, async () => {
        const each: Case = {
          library,
          options: { role, version },
          operation: "H",
          window: 65_536,
          streams: 0,
          size: 300_000,
        };
        await withPeer(each, async (session) => {
          await Promise.all(Array.from({ length: 20 }, (_, i) => ask(session, each, i)));
          assert.equal(session.streams, 0);
        });
      });
    }
  }

  test(`smux ${library}: streams that are aborted hurt no others`, async () => {
    for (const version of [1, 2] as const) {
      const each: Case = {
        library,
        options: { role: "client", version },
        operation: "E",
        window: 65_536,
        streams: 0,
        size: 50_000,
      };
      await withPeer(each, async (session) => {
        for (let i = 0; i < 20; i++) {
          const broken = await session.open();
          await writeAll(broken, header("E", 1_000_000));
          await writeAll(broken, new Uint8Array(100_000));
          broken.close();
          await ask(session, each, i);
        }
        assert.equal(session.streams, 0);
      });
    }
  });
}
