/**
 * Error numbers of Linux, the same on every architecture that we run on; errno(3). Those that the calls
 * of this folder can give.
 *
 * @module
 */

/** By name: the number, and strerror(3)'s words for it. */
const ERRORS = {
  EPERM: [1, "operation not permitted"],
  ENOENT: [2, "no such file or directory"],
  ESRCH: [3, "no such process"],
  EINTR: [4, "interrupted system call"],
  EIO: [5, "input/output error"],
  ENXIO: [6, "no such device or address"],
  ENOEXEC: [8, "exec format error"],
  EBADF: [9, "bad file descriptor"],
  ECHILD: [10, "no child processes"],
  EAGAIN: [11, "resource temporarily unavailable"],
  ENOMEM: [12, "cannot allocate memory"],
  EACCES: [13, "permission denied"],
  EFAULT: [14, "bad address"],
  ENOTBLK: [15, "block device required"],
  EBUSY: [16, "device or resource busy"],
  EEXIST: [17, "file exists"],
  ENODEV: [19, "no such device"],
  ENOTDIR: [20, "not a directory"],
  EISDIR: [21, "is a directory"],
  EINVAL: [22, "invalid argument"],
  ENFILE: [23, "too many open files in system"],
  EMFILE: [24, "too many open files"],
  ENOTTY: [25, "inappropriate ioctl for device"],
  ENOSPC: [28, "no space left on device"],
  EROFS: [30, "read-only file system"],
  EPIPE: [32, "broken pipe"],
  ENAMETOOLONG: [36, "file name too long"],
  ENOSYS: [38, "function not implemented"],
  ELOOP: [40, "too many levels of symbolic links"],
  ENOTSOCK: [88, "socket operation on non-socket"],
  EPROTOTYPE: [91, "protocol wrong type for socket"],
  ENOPROTOOPT: [92, "protocol not available"],
  EPROTONOSUPPORT: [93, "protocol not supported"],
  ESOCKTNOSUPPORT: [94, "socket type not supported"],
  EOPNOTSUPP: [95, "operation not supported"],
  EAFNOSUPPORT: [97, "address family not supported by protocol"],
  EADDRINUSE: [98, "address already in use"],
  EADDRNOTAVAIL: [99, "cannot assign requested address"],
  ENETDOWN: [100, "network is down"],
  ENETUNREACH: [101, "network is unreachable"],
  ECONNABORTED: [103, "software caused connection abort"],
  ECONNRESET: [104, "connection reset by peer"],
  ENOBUFS: [105, "no buffer space available"],
  EISCONN: [106, "transport endpoint is already connected"],
  ENOTCONN: [107, "transport endpoint is not connected"],
  ESHUTDOWN: [108, "cannot send after transport endpoint shutdown"],
  ETIMEDOUT: [110, "connection timed out"],
  ECONNREFUSED: [111, "connection refused"],
  EHOSTDOWN: [112, "host is down"],
  EHOSTUNREACH: [113, "no route to host"],
  EALREADY: [114, "operation already in progress"],
  EINPROGRESS: [115, "operation now in progress"],
  EDQUOT: [122, "disk quota exceeded"],
  ECANCELED: [125, "operation canceled"],
  EKEYREJECTED: [129, "key was rejected by service"],
} as const satisfies Readonly<Record<string, readonly [errno: number, words: string]>>;

type Name = keyof typeof ERRORS;

/** Error numbers by name. */
export const Errno = Object.fromEntries(
  Object.entries(ERRORS).map(([name, [errno]]) => [name, errno]),
) as { readonly [N in Name]: (typeof ERRORS)[N][0] };

const BY_NUMBER: ReadonlyMap<number, readonly [name: string, words: string]> = new Map(
  Object.entries(ERRORS).map(([name, [errno, words]]) => [errno, [name, words]]),
);

/** Name of an error number and what it means. */
export function describeErrno(errno: number): readonly [name: string, words: string] {
  return BY_NUMBER.get(errno) ?? [`E${errno}`, `error ${errno}`];
}
