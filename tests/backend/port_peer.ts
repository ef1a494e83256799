/**
 * A port forwarding session whose agent does what a test says: frames in, frames out, and
 * acknowledgements when they are wanted.
 *
 * @module
 */

import { AwsocksError, connPair } from "../../lib/core/mod.ts";
import type { Conn } from "../../lib/core/mod.ts";
import { DialLedger } from "../../lib/backend/dial_ledger.ts";
import { MuxSession } from "../../lib/backend/mux_session.ts";
import { Command, encodeFrame, FrameParser } from "../../lib/smux/frame.ts";
import type { ChannelEnd, ChannelStats, Session } from "../../lib/ssm/mod.ts";
import { FakeClock, settle } from "../support/fake_clock.ts";

export const TARGET = { host: "db.internal", port: 5432 };

/** A session in memory. */
export class FakeSession implements Session {
  readonly sessionId = "session-1";
  readonly info = { agentVersion: "3.3.1142.0", properties: {} };
  connected = true;
  closes = 0;
  /** While false, nothing that is sent is acknowledged. */
  acknowledges = true;
  /** What `stats` says of it. */
  silence = 0;
  readonly conn: Conn;
  /** The agent's end. */
  readonly far: Conn;
  readonly #ended = Promise.withResolvers<ChannelEnd>();
  readonly #waiting: (() => void)[] = [];
  #sent = 0;
  #acknowledged = 0;

  constructor() {
    const [near, far] = connPair(64 * 1024 * 1024);
    this.far = far;
    this.conn = {
      ...near,
      read: async (into) => {
        const n = await near.read(into);
        const { error } = n === null ? await this.closed : {};
        if (error) throw error;
        return n;
      },
      write: async (data) => {
        const n = await near.write(data);
        this.#sent += n;
        if (this.acknowledges) this.acknowledge();
        return n;
      },
      close: () => void this.close(),
    };
    this.closed.then(() => near.close());
  }

  get closed(): Promise<ChannelEnd> {
    return this.#ended.promise;
  }

  get stats(): ChannelStats {
    return {
      sentBytes: this.#sent,
      unacknowledged: this.#sent - this.#acknowledged,
      maxUnacknowledged: 0,
      maxWindowShare: 0,
      receivedBytes: 0,
      retransmissions: 0,
      duplicates: 0,
      malformed: 0,
      resumes: 0,
      silence: this.silence,
    };
  }

  acknowledge(bytes = this.#sent - this.#acknowledged): void {
    this.#acknowledged += bytes;
    if (this.#acknowledged < this.#sent) return;
    for (const wake of this.#waiting.splice(0)) wake();
  }

  acknowledged(): Promise<void> {
    if (this.#acknowledged === this.#sent) return Promise.resolve();
    return new Promise((resolve) => void this.#waiting.push(resolve));
  }

  end(output: string): void {
    const error = output === ""
      ? undefined
      : new AwsocksError("session-closed", `Session Manager closed the session: ${output}`, {
        facts: { output },
      });
    this.#finish({ by: "remote", output, ...(error && { error }) });
  }

  lose(): void {
    const error = new AwsocksError("session-lost", "The session could not be resumed");
    this.#finish({ by: "lost", output: "", error });
  }

  close(): Promise<void> {
    this.closes++;
    this.#finish({ by: "local", output: "" });
    return Promise.resolve();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #finish(end: ChannelEnd): void {
    this.#ended.resolve(end);
    for (const wake of this.#waiting.splice(0)) wake();
  }
}

/** A multiplexed session and the agent's end of it. */
export class Peer {
  readonly clock = new FakeClock();
  readonly session = new FakeSession();
  readonly ledger = new DialLedger();
  readonly mux: MuxSession;
  /** Frames of the client that nobody has looked at, as `Syn 3` or `Psh 3 text`. */
  readonly #frames: string[] = [];

  constructor({ bearsSilence = true, target = TARGET } = {}) {
    const { session, ledger, clock } = this;
    this.mux = new MuxSession({ target, session, ledger, clock, bearsSilence });
    void this.#listen();
  }

  /** What the client has sent since the last look. */
  async frames(): Promise<string[]> {
    await settle();
    return this.#frames.splice(0);
  }

  async send(command: Command, id: number, text = ""): Promise<void> {
    await this.session.far.write(encodeFrame(1, command, id, new TextEncoder().encode(text)));
    await settle();
  }

  /** A dial failed: the flag, and after it the FIN. */
  flag(): void {
    this.ledger.flagged(this.clock.monotonic());
  }

  /** A dial whose outcome can be looked at. */
  dial(signal?: AbortSignal) {
    const state = { conn: undefined as Conn | undefined, error: undefined as unknown };
    this.mux.dial(signal ? { signal } : {}).then(
      (conn) => state.conn = conn,
      (error) => state.error = error,
    );
    return state;
  }

  /** A connection, established. */
  async connect(): Promise<Conn> {
    const dialling = this.dial();
    await this.clock.advance(150);
    return dialling.conn!;
  }

  async close(): Promise<void> {
    await this.mux.close();
    await settle();
    await this.clock.advance(1000);
  }

  async #listen(): Promise<void> {
    const parser = new FrameParser(1);
    const buffer = new Uint8Array(64 * 1024);
    const names = Object.keys(Command);
    for (let n; (n = await this.session.far.read(buffer)) !== null;) {
      for (const { command, streamId, payload } of parser.push(buffer.subarray(0, n))) {
        const text = payload.byteLength > 0 ? ` ${new TextDecoder().decode(payload)}` : "";
        this.#frames.push(`${names[command]} ${streamId}${text}`);
      }
    }
  }
}
