/**
 * What happens inside the sandbox, as a stream of events: for the demo's hop-by-hop account and for
 * tests that want to know what the other side saw.
 *
 * @module
 */

import type { Clock } from "../core/mod.ts";

/** What happened. */
export type SandboxEventBody =
  /** A call of the HTTP API was answered. */
  | {
    readonly type: "api-call";
    readonly service: string;
    readonly action: string;
    /** HTTP status. */
    readonly status: number;
    /** AWS error code; absent on success. */
    readonly error?: string;
    readonly requestId: string;
  }
  /** `StartSession` was accepted. */
  | {
    readonly type: "session-started";
    readonly sessionId: string;
    readonly instanceId: string;
    readonly document: string;
  }
  /** A client's data channel was accepted, token and all. */
  | {
    readonly type: "websocket-opened";
    readonly sessionId: string;
    /** True for every WebSocket of a session but its first. */
    readonly resumed: boolean;
    readonly signature: UpgradeSignature;
  }
  /** A client's data channel has ended. */
  | {
    readonly type: "websocket-closed";
    readonly sessionId: string;
    readonly by: "client" | "sandbox";
    readonly code: number;
  }
  /** The agent sent HandshakeComplete. */
  | {
    readonly type: "handshake-completed";
    readonly sessionId: string;
    readonly clientVersion: string;
  }
  /** The session is over for good. */
  | { readonly type: "session-ended"; readonly sessionId: string; readonly output: string }
  /** The instance's SSH server let a user in. */
  | {
    readonly type: "ssh-authenticated";
    readonly instanceId: string;
    readonly user: string;
    /** Of the user's key, `SHA256:…`. */
    readonly fingerprint: string;
  }
  /** The instance's SSH server turned a user away. */
  | { readonly type: "ssh-refused"; readonly instanceId: string; readonly user: string }
  /** A `direct-tcpip` channel was asked for and answered. */
  | {
    readonly type: "direct-tcpip";
    readonly instanceId: string;
    readonly host: string;
    readonly port: number;
    /** `open`, or why not, in the words of the SSH server. */
    readonly result: string;
  }
  /** A channel that was open has ended, and with it the connection to the destination. */
  | {
    readonly type: "channel-closed";
    readonly instanceId: string;
    readonly host: string;
    readonly port: number;
  }
  /** The agent has connected to the destination of a port session, or not. */
  | {
    readonly type: "port-connection";
    readonly sessionId: string;
    readonly instanceId: string;
    readonly host: string;
    readonly port: number;
    /** `open`, or why not, in the words of Go's net package. */
    readonly result: string;
  }
  /** The private web site got a request. */
  | {
    readonly type: "http-request";
    readonly method: string;
    readonly host: string;
    readonly path: string;
  }
  /** An instance changed its state. */
  | { readonly type: "instance-state"; readonly instanceId: string; readonly state: string };

/** How the upgrade request of a data channel was signed. */
export type UpgradeSignature = "valid" | "missing" | "invalid" | "unchecked";

/** An event with its time. */
export type SandboxEvent = SandboxEventBody & {
  /** Milliseconds since the Unix epoch. */
  readonly at: number;
  /** Monotonic milliseconds, to measure with; the same origin as the sandbox's clock. */
  readonly monotonic: number;
};

/** Hands events to whoever listens. */
export class EventHub {
  readonly #clock: Clock;
  readonly #listeners = new Set<(event: SandboxEvent) => void>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Tells every listener. */
  emit(body: SandboxEventBody): void {
    if (this.#listeners.size === 0) return;
    const event = { ...body, at: this.#clock.now(), monotonic: this.#clock.monotonic() };
    for (const listener of this.#listeners) listener(event);
  }

  /** Calls `listener` with each event from now on. */
  on(listener: (event: SandboxEvent) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }
}
