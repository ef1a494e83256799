export interface A {
  cid: number;
  port: number;
}
export function connectVsock(
  _o: { cid: number; port: number; timeout?: number; signal?: AbortSignal },
): Promise<never> {
  return Promise.reject(new Error("To come"));
}
export function listenVsock(
  _o: { cid?: number; port: number },
): { address: A; accept(): Promise<never>; close(): void } {
  throw new Error("To come");
}
