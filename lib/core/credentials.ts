/**
 * The values that sign an AWS request. A plain value that several rooms pass on; the room
 * `credentials` is where they come from.
 *
 * @module
 */

/** AWS credentials. Every field but `expiration` is secret or close to it: never log the value. */
export interface Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** Present for temporary credentials. */
  readonly sessionToken?: string;
  /** When they stop working, in milliseconds since the Unix epoch; absent for long-lived keys. */
  readonly expiration?: number;
}

/** Gives credentials that are valid now. Called before each request; cheap when nothing changed. */
export type CredentialSource = (options?: { signal?: AbortSignal }) => Promise<Credentials>;
