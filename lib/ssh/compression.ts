/**
 * Compression for `ssh2` on Deno.
 *
 * ssh2 drives Node's internal zlib handle with an `init` call that Deno's handle does not understand
 * (TypeError when compression starts). Its two classes that compress and expand packets are exports
 * of one small module, which the rest of the library reads once, when it loads. So they are replaced
 * there before that, by classes of the same shape over {@linkcode ZlibStream}.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { createRequire } from "node:module";
import { AdaptiveDeflate } from "./adaptive_deflate.ts";
import { loadZlib, type ZlibCodec } from "./zlib_stream.ts";

/**
 * Longest payload that a packet may expand to. RFC 4253 section 6.1 asks for 32,768 bytes and lets
 * implementations send more; OpenSSH sends up to 256 KiB. Keeps a hostile server from filling memory.
 */
export const MAX_PAYLOAD_BYTES = 1024 * 1024;

/** What a packet writer uses of ssh2's `Protocol`. */
interface PacketProtocol {
  /** The KEXINIT in flight; while there is one, other packets are queued unpacked. */
  readonly _kexinit: unknown;
  readonly _cipher: { allocPacket(payloadLength: number): Uint8Array };
}

/** Where the payload starts in a packet: after the packet length and the padding length. */
const PAYLOAD_OFFSET = 5;

/** Classes of the same shape as `ZlibPacketReader` and `ZlibPacketWriter` of ssh2. */
export function packetClasses(codec: ZlibCodec) {
  class ZlibPacketReader {
    readonly #stream = codec.inflate(MAX_PAYLOAD_BYTES);

    read(payload: Uint8Array): Buffer {
      return this.#stream.write(payload);
    }

    cleanup(): void {
      this.#stream.close();
    }
  }

  class ZlibPacketWriter {
    allocStart = 0;
    allocStartKEX = 0;
    readonly _protocol: PacketProtocol;
    readonly #stream = new AdaptiveDeflate(codec.deflate());
    #closed = false;

    constructor(protocol: PacketProtocol) {
      this._protocol = protocol;
    }

    alloc(payloadLength: number): Buffer {
      return Buffer.allocUnsafe(payloadLength);
    }

    finalize(payload: Uint8Array, force?: boolean): Uint8Array {
      if (this._protocol._kexinit !== undefined && !force) return payload;
      // Channels may still want to say goodbye; the cipher, which is as dead, drops the packet.
      if (this.#closed) return payload;
      const packed = this.#stream.write(payload);
      const packet = this._protocol._cipher.allocPacket(packed.byteLength);
      packet.set(packed, PAYLOAD_OFFSET);
      return packet;
    }

    cleanup(): void {
      this.#closed = true;
      this.#stream.close();
    }
  }

  return { ZlibPacketReader, ZlibPacketWriter };
}

/**
 * Replaces the classes. Must run before `ssh2` is loaded for the first time.
 * @returns the codec in use, for the log
 * @throws Error when there is no codec, or ssh2 does not look as expected
 */
export async function installCompression(): Promise<string> {
  // A library that is loaded has read the old classes.
  const modules = Object.keys(createRequire(import.meta.url).cache);
  if (modules.some((path) => /[\\/]ssh2[\\/].*[\\/]Protocol\.js$/.test(path))) {
    throw new Error("ssh2 was loaded before its compression could be replaced");
  }
  const codec = await loadZlib();
  if (!codec) throw new Error("No zlib implementation passes its trial");
  // The module object that the other modules of ssh2 get from require().
  const { default: exports } = await import("ssh2/lib/protocol/zlib.js");
  for (const name of ["ZlibPacketReader", "ZlibPacketWriter"] as const) {
    if (typeof exports[name] !== "function") throw new Error(`ssh2 has no class ${name}`);
  }
  Object.assign(exports, packetClasses(codec));
  return codec.name;
}
