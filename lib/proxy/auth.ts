/**
 * The one user and password that clients may have to give.
 *
 * @module
 */

/** User and password of the proxy. */
export interface ProxyAuth {
  readonly user: string;
  /** Secret. */
  readonly password: string;
}

/** Tells whether a client's user and password, as UTF-8 bytes, are the right ones. */
export type Verify = (user: Uint8Array, password: Uint8Array) => Promise<boolean>;

/**
 * Compares in constant time: hashed, both sides have the same length, so neither a common prefix nor
 * the length of the secret shows in the time it takes. The user is no secret, but a wrong user must not
 * save the comparison of the password.
 */
export function createVerifier(auth: ProxyAuth): Verify {
  const encoder = new TextEncoder();
  const user = encoder.encode(auth.user);
  const password = encoder.encode(auth.password);
  return async (givenUser, givenPassword) => {
    // Loaded here because node:crypto takes longer to load than a lazy start may take in all.
    const { createHash, timingSafeEqual } = await import("node:crypto");
    const digest = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest();
    const userIsRight = timingSafeEqual(digest(givenUser), digest(user));
    const passwordIsRight = timingSafeEqual(digest(givenPassword), digest(password));
    return userIsRight && passwordIsRight;
  };
}
