/**
 * The sockets of a pod: made inside its network namespace, marked, and read for where they were going.
 *
 * Rule: everything dialled here carries the mark, or it would be captured again.
 */
import type { Socket } from 'node:net';

import { type Cancellation, MeshError } from '@ambit/core';
import {
  descriptorOf,
  dialFrom,
  type Netns,
  NetnsError,
  openNetns,
  originalDestination,
  tcpSocket,
} from '@ambit/netns';
import {
  canonicalAddress,
  type Deadlines,
  formatAddress,
  fromIoError,
  type Place,
} from '@ambit/proxy';

import { WorkerError } from './errors.ts';

/** As the listener was made: room for a burst while a worker is replaced. */
const BACKLOG = 1024;

export interface PodDial {
  readonly address: string;
  readonly port: number;
  /** Bind to this foreign address first, so that the application sees the client. */
  readonly source?: string;
  /** Bind to this address first if it is one of the pod's, else to none. */
  readonly ownSource?: string;
  readonly signal: Cancellation;
}

/** Where a listener of a pod is: a descriptor in real life. */
export type ListenAt =
  | { readonly fd: number; readonly backlog: number }
  | { readonly host: string; readonly port: number };

/** What a pod's proxy needs of the kernel; tests put loopback sockets here. */
export interface PodSockets extends Disposable {
  /** `fd`: from `CapturedPod.listeners`. */
  listenAt(fd: number): ListenAt;
  dial(options: PodDial): Promise<Socket>;
  /** Where the client of a redirected connection was going. */
  destinationOf(socket: Socket): Place;
}

export type OpenPodSockets = (netnsPath: string) => PodSockets;

export interface NetnsSocketsOptions {
  readonly packetMark: number;
  readonly connectDeadlines: Deadlines;
  /** A source address could not be borrowed; the connect goes on with a local one. */
  readonly onSourceUnavailable: (source: string, error: Error) => void;
}

/** Real ones. Opening throws when the path is no network namespace. */
export function netnsSockets(options: NetnsSocketsOptions): OpenPodSockets {
  return (path) => {
    const netns = openNetns(path);
    return {
      // Node listens again, with a backlog of its own choice unless told.
      listenAt: (fd) => ({ fd, backlog: BACKLOG }),
      dial: async (dial) => await connect(netns, dial, options),
      destinationOf,
      [Symbol.dispose]: () => netns[Symbol.dispose](),
    };
  };
}

function destinationOf(socket: Socket): Place {
  const fd = descriptorOf(socket);
  const original = fd === undefined ? undefined : originalDestination(fd);
  // A connection that was not redirected has no entry: its local address is where it was going.
  return (
    original ?? {
      address: canonicalAddress(socket.localAddress),
      port: socket.localPort ?? 0,
    }
  );
}

function makeSocket(netns: Netns, dial: PodDial, options: NetnsSocketsOptions): number {
  const family = dial.address.includes(':') ? 6 : 4;
  const base = { family, mark: options.packetMark } as const;
  const { ownSource, source = ownSource } = dial;
  if (source === undefined || source.includes(':') !== dial.address.includes(':')) {
    return tcpSocket(netns, base);
  }
  const isSourceOwn = source === ownSource;
  try {
    return tcpSocket(netns, { ...base, sourceAddress: source, isSourceOwn });
  } catch (error) {
    if (!(error instanceof NetnsError) || error.code !== 'NETNS_SOURCE_UNAVAILABLE') {
      throw error;
    }
    if (!isSourceOwn) {
      options.onSourceUnavailable(source, error);
    }
    return tcpSocket(netns, base);
  }
}

async function connect(netns: Netns, dial: PodDial, options: NetnsSocketsOptions): Promise<Socket> {
  dial.signal.throwIfAborted();
  const { address, port } = dial;
  const fd = makeSocket(netns, dial, options);
  const socket = dialFrom(fd, { address, port, allowHalfOpen: true });
  return await connected(socket, dial, options.connectDeadlines);
}

/** Waits for the connect, not longer than the timeout. Destroys the socket when it fails. */
export async function connected(
  socket: Socket,
  dial: PodDial,
  deadlines: Deadlines,
): Promise<Socket> {
  const done = Promise.withResolvers<void>();
  // An abort before the wait leaves a promise that nobody awaits.
  done.promise.catch(() => undefined);
  const onAbort = (): void => done.reject(dial.signal.reason);
  dial.signal.addEventListener('abort', onAbort, { once: true });
  const deadline = deadlines.add(() => done.reject(timedOut(dial)));
  socket.once('connect', done.resolve);
  socket.on('error', done.reject);
  try {
    dial.signal.throwIfAborted();
    await done.promise;
    return socket;
  } catch (error) {
    socket.destroy();
    throw error instanceof MeshError ? error : fromIoError(error, 'upstream');
  } finally {
    dial.signal.removeEventListener('abort', onAbort);
    deadlines.cancel(deadline);
    // The wait is over, and nothing of it is kept; until somebody owns the socket, an RST must not end the process.
    socket.on('error', ignoreUntilOwned);
    socket.off('error', done.reject);
  }
}

function ignoreUntilOwned(): void {}

function timedOut({ address, port }: PodDial): WorkerError {
  return new WorkerError(
    'WORKER_CONNECT_TIMEOUT',
    `connection to ${formatAddress(address, port)} timed out`,
    { side: 'upstream' },
  );
}
