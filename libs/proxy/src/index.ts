/** Moves bytes: the push contract, its sockets, copying both ways, accepting and tracking connections. */
export { Acceptor, type AcceptorCounters, type AcceptorOptions, limitError } from './acceptor.ts';
export { canonicalAddress, formatAddress, formatPlace, type Place } from './address.ts';
export { type ByteConn, type ByteSink, writeAll, writeBorrowed } from './conn.ts';
export { ConnectionTracker, type TrackerCounters } from './connection-tracker.ts';
export { type CopyObserver, type CopyOptions, type CopyResult, copyBoth } from './copy.ts';
export { type Deadline, Deadlines } from './deadlines.ts';
export { fromIoError, isPeerGone, ProxyError, type ProxyErrorCode } from './errors.ts';
export { FINISHED } from './finished.ts';
export { HeldBytes, threadHeld } from './held-bytes.ts';
export { dropIdleSlabs, type Slab, SlabPool } from './slab-pool.ts';
export { SocketConn, type SocketConnOptions, TlsConn } from './socket-conn.ts';
export type { ConnAddresses } from './stream-conn.ts';
