/**
 * What lets a client into a session: the URL and the token that StartSession and ResumeSession hand
 * out, and the check of the first message.
 *
 * @module
 */

import type { Clock } from "../../core/mod.ts";
import type { Switches } from "../options.ts";
import type { Random } from "../random.ts";

/** What `StartSession` and `ResumeSession` hand out. */
export interface Grant {
  readonly sessionId: string;
  readonly streamUrl: string;
  readonly tokenValue: string;
}

/** Options of {@linkcode Admission}. */
export interface AdmissionOptions {
  readonly sessionId: string;
  readonly clock: Clock;
  readonly random: Random;
  /** The switches as they are now. */
  readonly switches: () => Pick<Switches, "newUrl" | "tokenLifetime">;
  /** `ws://host:port` of the gateway. */
  readonly origin: string;
}

const CELL_BYTES = 34;
const TOKEN_BYTES = 300;
const MIN_REQUEST_ID_CHARS = 16;

/** Grants of one session; only the latest one counts. */
export class Admission {
  readonly #options: AdmissionOptions;
  #cell = "";
  #clientId: string | undefined;
  #token: { readonly value: string; readonly expires: number } | undefined;

  constructor(options: AdmissionOptions) {
    this.#options = options;
  }

  /** Makes a token and, unless told otherwise, a new URL. */
  grant(): Grant {
    const { clock, origin, random, sessionId, switches } = this.#options;
    const { newUrl, tokenLifetime } = switches();
    if (this.#cell === "" || newUrl) this.#cell = cellNumber(random);
    const value = toBase64(random.bytes(TOKEN_BYTES));
    this.#token = { value, expires: clock.monotonic() + tokenLifetime };
    return { sessionId, streamUrl: `${origin}${this.#path()}`, tokenValue: value };
  }

  /** True for the path and query of the latest grant, with or without a signature in the query. */
  admits(pathAndQuery: string): boolean {
    return pathAndQuery.split("&X-Amz-")[0] === this.#path();
  }

  /**
   * Checks OpenDataChannel and uses up its token.
   * @returns why the client is refused, or undefined
   */
  open(text: string): string | undefined {
    const { clock } = this.#options;
    const field = fieldsOf(text);
    if (!field) return "OpenDataChannel is not JSON";
    if (field("MessageSchemaVersion") !== "1.0") return "MessageSchemaVersion is not 1.0";
    if (field("RequestId").length < MIN_REQUEST_ID_CHARS) return "RequestId is too short";
    if (field("ClientId") === "") return "ClientId is missing";
    if (!this.#token || field("TokenValue") !== this.#token.value) return "Token is invalid";
    if (this.#token.expires < clock.monotonic()) return "Token has expired";
    this.#clientId ??= field("ClientId");
    if (field("ClientId") !== this.#clientId) return "ClientId has changed";
    this.#token = undefined;
    return undefined;
  }

  #path(): string {
    const { sessionId } = this.#options;
    return `/v1/data-channel/${sessionId}?role=publish_subscribe&cell-number=${this.#cell}`;
  }
}

/** Access to the text fields of a JSON object; undefined for anything else. */
function fieldsOf(text: string): ((name: string) => string) | undefined {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof json !== "object" || json === null) return undefined;
  const fields = json as Record<string, unknown>;
  return (name) => typeof fields[name] === "string" ? fields[name] : "";
}

/** Routing data of a stream URL: base64 as it is, so that a client which re-encodes it is found out. */
function cellNumber(random: Random): string {
  for (;;) {
    const cell = toBase64(random.bytes(CELL_BYTES));
    if (cell.includes("+") && cell.includes("/")) return cell;
  }
}

function toBase64(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes));
}
