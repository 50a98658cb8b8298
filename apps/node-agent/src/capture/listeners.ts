/**
 * The three listening sockets of a captured pod, one set per worker.
 *
 * The main thread keeps every set open for as long as the pod is captured and gives duplicates away, so that a
 * worker's death closes nothing: connections wait in the backlog for its replacement.
 */
import { closeFd, duplicate, listenTcp, type Netns, NetnsError } from '@ambit/netns';
import { HBONE_PORT, INBOUND_PORT, OUTBOUND_PORT, PACKET_MARK } from './constants.ts';

/** As the reference's: room for a burst while a worker is replaced. The kernel refuses beyond it. */
const BACKLOG = 1024;

/** Descriptors. */
export interface ListenerSet {
  readonly outbound: number;
  readonly inbound: number;
  readonly hbone: number;
}

/** Several sets of one pod share the ports (SO_REUSEPORT), also across overlapping agents. */
export function openListeners(ns: Netns): ListenerSet {
  return buildSet((port) => listen(ns, port));
}

/** A set for a worker, which owns it from then on. */
export function duplicateListeners(set: ListenerSet): ListenerSet {
  const originals: Readonly<Record<number, number>> = {
    [OUTBOUND_PORT]: set.outbound,
    [INBOUND_PORT]: set.inbound,
    [HBONE_PORT]: set.hbone,
  };
  return buildSet((port) => duplicate(originals[port] ?? -1));
}

export function closeListeners(set: ListenerSet): void {
  closeFd(set.outbound);
  closeFd(set.inbound);
  closeFd(set.hbone);
}

/** All three or none. */
function buildSet(make: (port: number) => number): ListenerSet {
  const made: number[] = [];
  try {
    const next = (port: number): number => {
      const fd = make(port);
      made.push(fd);
      return fd;
    };
    return { outbound: next(OUTBOUND_PORT), inbound: next(INBOUND_PORT), hbone: next(HBONE_PORT) };
  } catch (error) {
    for (const fd of made) {
      closeFd(fd);
    }
    throw error;
  }
}

function listen(ns: Netns, port: number): number {
  const options = { port, backlog: BACKLOG, mark: PACKET_MARK, reusePort: true, transparent: true };
  try {
    return listenTcp(ns, { ...options, address: '::' });
  } catch (error) {
    if (error instanceof NetnsError && error.errno === 'EAFNOSUPPORT') {
      return listenTcp(ns, { ...options, address: '0.0.0.0' });
    }
    throw error;
  }
}
