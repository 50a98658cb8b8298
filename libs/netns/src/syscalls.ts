/**
 * The C functions that Node does not offer, bound once a thread at first use.
 *
 * Rule: nothing outside this package calls them, and every call is synchronous, so that the calling thread
 * (namespaces are per thread) is the one that acts. Numbers are Linux's, equal on x86-64 and arm64.
 */
import koffi from 'koffi';
import { NetnsError, type NetnsErrorCode } from './errors.ts';

export const AF_INET = 2;
export const AF_INET6 = 10;
export const SOCK_STREAM = 1;
export const SOCK_DGRAM = 2;
export const SOCK_NONBLOCK = 0o4000;
export const SOCK_CLOEXEC = 0o2000000;
export const SOL_IP = 0;
export const SOL_SOCKET = 1;
export const SOL_IPV6 = 41;
export const SO_REUSEADDR = 2;
export const SO_REUSEPORT = 15;
export const SO_MARK = 36;
export const IP_TRANSPARENT = 19;
export const IP_BIND_ADDRESS_NO_PORT = 24;
export const IPV6_V6ONLY = 26;
export const IPV6_TRANSPARENT = 75;
/** The same number for both families: `SO_ORIGINAL_DST` and `IP6T_SO_ORIGINAL_DST`. */
export const SO_ORIGINAL_DST = 80;
export const F_DUPFD_CLOEXEC = 1030;
export const CLONE_NEWNET = 0x40000000;
/** ioctl(2) of ioctl_ns(2): which kind of namespace a descriptor is. */
export const NS_GET_NSTYPE = 0xb703;

export interface Libc {
  readonly setns: (fd: number, type: number) => number;
  readonly unshare: (flags: number) => number;
  readonly ioctl: (fd: number, request: number, argument: number) => number;
  readonly fcntl: (fd: number, command: number, argument: number) => number;
  readonly socket: (family: number, type: number, protocol: number) => number;
  readonly setsockopt: (
    fd: number,
    level: number,
    name: number,
    value: Uint8Array,
    length: number,
  ) => number;
  readonly getsockopt: (
    fd: number,
    level: number,
    name: number,
    value: Uint8Array,
    length: Uint8Array,
  ) => number;
  readonly getsockname: (fd: number, address: Uint8Array, length: Uint8Array) => number;
  readonly bind: (fd: number, address: Uint8Array, length: number) => number;
  readonly connect: (fd: number, address: Uint8Array, length: number) => number;
  readonly listen: (fd: number, backlog: number) => number;
  readonly close: (fd: number) => number;
  readonly inetPton: (family: number, text: string, bytes: Uint8Array) => number;
  /** Ends the whole process, from any thread, without running anything first. */
  readonly exitNow: (status: number) => void;
}

let bound: Libc | undefined;

export function libc(): Libc {
  bound ??= bindLibc();
  return bound;
}

function bindLibc(): Libc {
  const lib = koffi.load(null);
  return {
    setns: lib.func('int setns(int fd, int type)'),
    unshare: lib.func('int unshare(int flags)'),
    ioctl: lib.func('int ioctl(int fd, unsigned long request, long argument)'),
    fcntl: lib.func('int fcntl(int fd, int command, long argument)'),
    socket: lib.func('int socket(int family, int type, int protocol)'),
    setsockopt: lib.func(
      'int setsockopt(int fd, int level, int name, const void *value, uint32_t length)',
    ),
    getsockopt: lib.func('int getsockopt(int fd, int level, int name, void *value, void *length)'),
    getsockname: lib.func('int getsockname(int fd, void *address, void *length)'),
    bind: lib.func('int bind(int fd, const void *address, uint32_t length)'),
    connect: lib.func('int connect(int fd, const void *address, uint32_t length)'),
    listen: lib.func('int listen(int fd, int backlog)'),
    close: lib.func('int close(int fd)'),
    inetPton: lib.func('int inet_pton(int family, const char *text, void *bytes)'),
    exitNow: lib.func('void _exit(int status)'),
  };
}

/** The name of the last failed call's errno on this thread, as `EADDRINUSE`. */
export function lastErrno(): string {
  const value = koffi.errno();
  const entry = Object.entries(koffi.os.errno).find(([, number]) => number === value);
  return entry?.[0] ?? `errno ${value}`;
}

/** Throws when a call returned a negative number; otherwise returns it. Call it right after the call. */
export function check(result: number, code: NetnsErrorCode, what: string): number {
  if (result < 0) {
    const errno = lastErrno();
    throw new NetnsError(code, `${what}: ${errno}`, { errno });
  }
  return result;
}
