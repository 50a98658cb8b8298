/**
 * Sockets made inside a namespace and used from anywhere: a socket stays where it was made.
 *
 * Each function returns a descriptor (non-blocking, close-on-exec) that the caller owns until it adopts or
 * closes it, and leaves none behind when it throws.
 */
import { NetnsError, type NetnsErrorCode } from './errors.ts';
import { runInNetns } from './netns.ts';
import {
  addressFamily,
  decodeSocketAddress,
  encodeSocketAddress,
  SOCKADDR_BYTES_MAX,
} from './socket-address.ts';
import {
  AF_INET,
  AF_INET6,
  check,
  F_DUPFD_CLOEXEC,
  IP_BIND_ADDRESS_NO_PORT,
  IP_TRANSPARENT,
  IPV6_TRANSPARENT,
  IPV6_V6ONLY,
  libc,
  SO_MARK,
  SO_ORIGINAL_DST,
  SO_REUSEADDR,
  SO_REUSEPORT,
  SOCK_CLOEXEC,
  SOCK_DGRAM,
  SOCK_NONBLOCK,
  SOCK_STREAM,
  SOL_IP,
  SOL_IPV6,
  SOL_SOCKET,
} from './syscalls.ts';
import type {
  Netns,
  OriginalDestination,
  TcpListenOptions,
  TcpSocketOptions,
  UdpBindOptions,
} from './types.ts';

/** A listening TCP socket. Throws `NETNS_BIND_FAILED` (`errno` says why) or `NETNS_SOCKET_FAILED`. */
export function listenTcp(ns: Netns, options: TcpListenOptions): number {
  const family = addressFamily(options.address);
  return makeSocket(ns, { family, type: SOCK_STREAM }, (fd) => {
    setOption(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (options.reusePort) {
      setOption(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    }
    if (family === 6) {
      setOption(fd, SOL_IPV6, IPV6_V6ONLY, options.address === '::' ? 0 : 1);
    }
    if (options.transparent) {
      setTransparent(fd, family);
    }
    setMark(fd, options.mark);
    bindTo(fd, options, 'NETNS_BIND_FAILED');
    check(
      libc().listen(fd, options.backlog),
      'NETNS_BIND_FAILED',
      `cannot listen on ${endpoint(options)}`,
    );
  });
}

/**
 * A TCP socket that has not connected yet. With `sourceAddress` it is bound to that address, be it this
 * host's or (unless `isSourceOwn`) not; where that fails it throws `NETNS_SOURCE_UNAVAILABLE`, and the caller may try without.
 */
export function tcpSocket(ns: Netns, options: TcpSocketOptions): number {
  const { family, sourceAddress } = options;
  return makeSocket(ns, { family, type: SOCK_STREAM }, (fd) => {
    setMark(fd, options.mark);
    if (sourceAddress === undefined) {
      return;
    }
    // The port is chosen at the connect: a source has then all ports for each destination, and not for all of them together.
    setOption(fd, SOL_IP, IP_BIND_ADDRESS_NO_PORT, 1, 'NETNS_SOURCE_UNAVAILABLE');
    if (options.isSourceOwn !== true) {
      // It also allows addresses that are not this host's (ip(7)).
      setTransparent(fd, family, 'NETNS_SOURCE_UNAVAILABLE');
    }
    bindTo(fd, { address: sourceAddress, port: 0 }, 'NETNS_SOURCE_UNAVAILABLE', family);
  });
}

/** A bound UDP socket, for `dgram`'s `bind({fd})`. `::1` takes IPv6 only, `::` both families. */
export function bindUdp(ns: Netns, options: UdpBindOptions): number {
  const family = addressFamily(options.address);
  return makeSocket(ns, { family, type: SOCK_DGRAM }, (fd) => {
    if (options.reusePort) {
      setOption(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    }
    if (family === 6) {
      setOption(fd, SOL_IPV6, IPV6_V6ONLY, options.address === '::' ? 0 : 1);
    }
    setMark(fd, options.mark);
    bindTo(fd, options, 'NETNS_BIND_FAILED');
  });
}

/**
 * From here on a bound UDP socket gets nothing new; what it has got can be read, and anybody be answered. Of sockets that share
 * a port (SO_REUSEPORT) the others get its part. Closing it instead would lose what it has got.
 */
export function hearNoMore(fd: number): void {
  const own = localAddressOf(fd);
  if (own === undefined) {
    throw new NetnsError('NETNS_SOCKET_FAILED', `descriptor ${fd} is no socket of IP`);
  }
  // A connected socket hears its peer alone, and nobody else sends from here.
  const bytes = encodeSocketAddress(own);
  check(libc().connect(fd, bytes, bytes.length), 'NETNS_SOCKET_FAILED', 'cannot stop hearing');
}

/** A second descriptor of the same open socket. */
export function duplicate(fd: number): number {
  return check(
    libc().fcntl(fd, F_DUPFD_CLOEXEC, 3),
    'NETNS_SOCKET_FAILED',
    `cannot duplicate descriptor ${fd}`,
  );
}

/** Closes a descriptor that no Node object has adopted. */
export function closeFd(fd: number): void {
  libc().close(fd);
}

/** Where the client wanted to go before REDIRECT: undefined where the kernel does not know. Addresses are canonical. */
export function originalDestination(fd: number): OriginalDestination | undefined {
  const { getsockopt } = libc();
  for (const level of [SOL_IP, SOL_IPV6]) {
    answerLength.writeUInt32LE(answer.length);
    if (getsockopt(fd, level, SO_ORIGINAL_DST, answer, answerLength) === 0) {
      return decodeSocketAddress(answer);
    }
  }
  return undefined;
}

/** Calls are synchronous, and nothing of them is kept. */
const answer = Buffer.alloc(SOCKADDR_BYTES_MAX);
const answerLength = Buffer.alloc(4);
const option = Buffer.alloc(4);

/** The address that a socket is bound to; undefined for anything but an IP socket. */
export function localAddressOf(fd: number): OriginalDestination | undefined {
  const bytes = Buffer.alloc(SOCKADDR_BYTES_MAX);
  return libc().getsockname(fd, bytes, lengthOf(bytes)) === 0
    ? decodeSocketAddress(bytes)
    : undefined;
}

interface SocketKind {
  readonly family: 4 | 6;
  readonly type: number;
}

/** The socket is made inside; options and bind act on the socket's own namespace, but are set there too. */
function makeSocket(
  ns: Netns,
  { family, type }: SocketKind,
  prepare: (fd: number) => void,
): number {
  return runInNetns(ns, () => {
    const fd = check(
      libc().socket(family === 4 ? AF_INET : AF_INET6, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0),
      'NETNS_SOCKET_FAILED',
      'cannot make a socket',
    );
    try {
      prepare(fd);
    } catch (error) {
      closeFd(fd);
      throw error;
    }
    return fd;
  });
}

function setOption(
  fd: number,
  level: number,
  name: number,
  value: number,
  code: NetnsErrorCode = 'NETNS_SOCKET_FAILED',
): void {
  option.writeUInt32LE(value);
  if (libc().setsockopt(fd, level, name, option, option.length) !== 0) {
    check(-1, code, `cannot set socket option ${level}/${name}`);
  }
}

function setTransparent(fd: number, family: 4 | 6, code?: NetnsErrorCode): void {
  const [level, name] = family === 4 ? [SOL_IP, IP_TRANSPARENT] : [SOL_IPV6, IPV6_TRANSPARENT];
  setOption(fd, level, name, 1, code);
}

function setMark(fd: number, mark: number | undefined): void {
  if (mark !== undefined) {
    setOption(fd, SOL_SOCKET, SO_MARK, mark);
  }
}

interface Endpoint {
  readonly address: string;
  readonly port: number;
}

function bindTo(fd: number, target: Endpoint, code: NetnsErrorCode, family?: 4 | 6): void {
  let bytes: Uint8Array;
  try {
    bytes = encodeSocketAddress(target, family);
  } catch (error) {
    throw new NetnsError(code, `cannot bind to ${endpoint(target)}`, { cause: error });
  }
  if (libc().bind(fd, bytes, bytes.length) !== 0) {
    check(-1, code, `cannot bind to ${endpoint(target)}`);
  }
}

function endpoint({ address, port }: Endpoint): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

function lengthOf(bytes: Uint8Array): Uint8Array {
  const length = Buffer.alloc(4);
  length.writeUInt32LE(bytes.length);
  return length;
}
