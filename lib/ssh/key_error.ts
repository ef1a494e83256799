/**
 * Why a private key cannot be used, before the path of its file is known.
 *
 * @module
 */

/**
 * - `passphrase-needed`: it is encrypted and no passphrase was given
 * - `passphrase-wrong`: it does not open with this passphrase
 * - `unsupported`: sound, but not something this client or runtime can use
 * - `malformed`: not a private key, or a damaged one
 */
export type KeyErrorKind = "passphrase-needed" | "passphrase-wrong" | "unsupported" | "malformed";

/** A private key cannot be used. The message continues "the key …" or "it …". */
export class KeyError extends Error {
  override readonly name = "KeyError";
  readonly kind: KeyErrorKind;

  constructor(kind: KeyErrorKind, message: string, options?: ErrorOptions) {
    super(message, options);
    this.kind = kind;
  }
}
