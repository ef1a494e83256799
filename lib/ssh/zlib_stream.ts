/**
 * Zlib streams that compress and expand synchronously, packet by packet, as SSH compression needs
 * (RFC 4253 section 6.2): one context per direction, a partial flush at the end of each packet.
 *
 * `node:zlib` has no public call for that. Its streams own a native handle with a synchronous write,
 * which is used where a trial at load time shows that it works; else `pako` does the same in
 * JavaScript, several times slower.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import zlib from "node:zlib";
// @ts-types="@types/pako"
import type pako from "pako";

/** One direction of one compression context. */
export interface ZlibStream {
  /**
   * Transforms one packet completely.
   * @throws Error for corrupt input, or output beyond the limit given at creation
   */
  write(packet: Uint8Array): Buffer;
  /** Frees native memory. Idempotent. */
  close(): void;
}

/** The compressing direction. */
export interface DeflateStream extends ZlibStream {
  /**
   * Ends the output at a byte and forgets what was written, so that blocks of somebody else may follow
   * (zlib's `Z_FULL_FLUSH`). Not to be called twice without a packet in between.
   */
  align(): Buffer;
}

/** Makes both directions of {@linkcode ZlibStream}. */
export interface ZlibCodec {
  /** For the log. */
  readonly name: "native" | "pako";
  deflate(): DeflateStream;
  /** @param limit bytes that one packet may expand to */
  inflate(limit: number): ZlibStream;
}

/** zlib's default: the best size that is still far faster than a Session Manager session. */
const LEVEL = 6;
const PARTIAL_FLUSH = 1;
const FULL_FLUSH = 3;
const CHUNK_BYTES = 64 * 1024;
const NOTHING = new Uint8Array(0);

function concatChunks(chunks: Uint8Array[]): Buffer {
  return chunks.length === 1 ? Buffer.from(chunks[0]!) : Buffer.concat(chunks);
}

/** What is used of the undocumented inside of a `node:zlib` stream. */
interface NativeEngine {
  readonly _handle: {
    writeSync(
      flush: number,
      input: Uint8Array,
      inputAt: number,
      inputLength: number,
      output: Uint8Array,
      outputAt: number,
      outputLength: number,
    ): void;
    /** Called by a write that fails, before it returns. */
    onerror: (message: string) => void;
  };
  /** After a write: bytes left in the output, bytes left of the input. */
  readonly _writeState: Uint32Array;
  close(): void;
}

function nativeStream(stream: zlib.Deflate | zlib.Inflate, limit: number): DeflateStream {
  // Private fields; `loadZlib` has tried them out before anything depends on them.
  const engine = stream as unknown as NativeEngine;
  const output = new Uint8Array(CHUNK_BYTES);
  let failure: Error | undefined;
  let closed = false;
  engine._handle.onerror = (message) => failure = new Error(`Corrupt zlib stream: ${message}`);
  const run = (input: Uint8Array, flush: number) => {
    if (closed) throw new Error("The compression context is closed");
    const chunks: Uint8Array[] = [];
    let total = 0;
    let at = 0;
    for (;;) {
      engine._handle.writeSync(flush, input, at, input.byteLength - at, output, 0, CHUNK_BYTES);
      if (failure) throw failure;
      const [outputLeft = 0, inputLeft = 0] = engine._writeState;
      const produced = CHUNK_BYTES - outputLeft;
      total += produced;
      if (total > limit) throw new Error(`A packet expands to more than ${limit} bytes`);
      chunks.push(output.slice(0, produced));
      at = input.byteLength - inputLeft;
      if (outputLeft > 0) break;
    }
    if (at < input.byteLength) throw new Error("The compressed stream has ended");
    return concatChunks(chunks);
  };
  return {
    write: (packet) => run(packet, PARTIAL_FLUSH),
    align: () => run(NOTHING, FULL_FLUSH),
    close() {
      if (closed) return;
      closed = true;
      engine.close();
    },
  };
}

const nativeCodec: ZlibCodec = {
  name: "native",
  deflate: () => nativeStream(zlib.createDeflate({ level: LEVEL }), Infinity),
  inflate: (limit) => nativeStream(zlib.createInflate(), limit),
};

async function loadPako(): Promise<ZlibCodec> {
  const { Deflate, Inflate }: typeof pako = (await import("pako")).default;
  return {
    name: "pako",
    deflate() {
      const engine = new Deflate({ level: LEVEL });
      let chunks: Uint8Array[] = [];
      engine.onData = (chunk) => void chunks.push(chunk as Uint8Array);
      const run = (input: Uint8Array, flush: number) => {
        chunks = [];
        // The type declarations leave full flushes out.
        engine.push(input, flush as typeof PARTIAL_FLUSH);
        if (engine.err) throw new Error(`Compression failed: ${engine.msg}`);
        return concatChunks(chunks);
      };
      return {
        write: (packet) => run(packet, PARTIAL_FLUSH),
        align: () => run(NOTHING, FULL_FLUSH),
        close() {},
      };
    },
    inflate(limit) {
      const engine = new Inflate({ chunkSize: CHUNK_BYTES });
      let chunks: Uint8Array[] = [];
      let total = 0;
      const take = (chunk: Uint8Array) => {
        total += chunk.byteLength;
        if (total > limit) throw new Error(`A packet expands to more than ${limit} bytes`);
        chunks.push(chunk);
      };
      engine.onData = (chunk) => take(chunk as Uint8Array);
      // pako hands out full buffers only; the rest of a packet waits in its stream record, which
      // its type declarations leave out.
      const { strm } = engine as unknown as {
        strm: { output: Uint8Array | null; next_out: number; avail_out: number };
      };
      return {
        write(packet) {
          chunks = [];
          total = 0;
          engine.push(packet, 0);
          if (engine.err) throw new Error(`Expansion failed: ${engine.msg || engine.err}`);
          if (strm.output && strm.next_out > 0) {
            take(strm.output.slice(0, strm.next_out));
            strm.next_out = 0;
            strm.avail_out = 0;
          }
          return concatChunks(chunks);
        },
        close() {},
      };
    },
  };
}

/**
 * True when packets survive a round trip, the second one smaller for what came before, also behind a
 * full flush, and corrupt input is noticed.
 */
function works(codec: ZlibCodec): boolean {
  const deflate = codec.deflate();
  const inflate = codec.inflate(4 * CHUNK_BYTES);
  const corrupt = codec.inflate(CHUNK_BYTES);
  try {
    const packet = Buffer.from(Array.from({ length: 300 }, (_, index) => index * 7 & 0xff));
    const sizes = [packet, packet, Buffer.alloc(2 * CHUNK_BYTES, packet)].map((plain) => {
      const packed = deflate.write(plain);
      if (!inflate.write(packed).equals(plain)) throw new Error("Wrong bytes");
      return packed.byteLength;
    });
    const aligned = Buffer.concat([deflate.align(), deflate.write(packet)]);
    if (!inflate.write(aligned).equals(packet)) throw new Error("Wrong bytes");
    return sizes[1]! < sizes[0]! && fails(() => corrupt.write(Buffer.from([0xff, 0xff])));
  } catch {
    return false;
  } finally {
    corrupt.close();
    deflate.close();
    inflate.close();
  }
}

function fails(work: () => unknown): boolean {
  try {
    work();
    return false;
  } catch {
    return true;
  }
}

/**
 * The fastest codec that works on this runtime.
 * @param candidates tried in order; for tests
 * @returns undefined when none does
 */
export async function loadZlib(
  candidates: readonly (() => Promise<ZlibCodec>)[] = [
    () => Promise.resolve(nativeCodec),
    loadPako,
  ],
): Promise<ZlibCodec | undefined> {
  for (const candidate of candidates) {
    try {
      const codec = await candidate();
      if (works(codec)) return codec;
    } catch {
      // Not to be had on this runtime: the next one.
    }
  }
  return undefined;
}

/** Every codec, for tests. */
export const ZLIB_CODECS = { native: () => Promise.resolve(nativeCodec), pako: loadPako } as const;
