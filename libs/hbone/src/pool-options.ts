/** What a pool of tunnels is given, how far it goes, and what it counts. */
import type { Socket } from 'node:net';

import type { Clock } from '@ambit/core';
import { type H2Counters, newH2Counters } from '@ambit/h2';
import type { Revocations } from '@ambit/identity';
import type { AbandonedCounters } from './given-up.ts';
import { newPeerRefusalCounts, type PeerRefusalCounts } from './peer-refusals.ts';
import type { TlsIdentity } from './tls.ts';
import type { TunnelKey } from './tunnel-key.ts';

export interface HbonePoolLimits {
  readonly connectTimeoutMs: number;
  /** How long the peer may take to answer CONNECT: it waits 5 s for its record and 10 s for the application. */
  readonly responseTimeoutMs: number;
  /** How long a CONNECT waits before the peer is asked whether it is there at all. */
  readonly doubtMs: number;
  /** A tunnel nobody asked for within this time is released. */
  readonly unusedReleaseMs: number;
  readonly sessionsMax: number;
  /** Callers that wait for one key's connect. */
  readonly waitingPerKeyMax: number;
  /** CONNECTs that nobody waits for, kept open for the sake of others (`given-up.ts`, `answered-resets.ts`). Beyond: reset at once. */
  readonly abandonedMax: number;
}

export const HBONE_POOL_LIMITS: HbonePoolLimits = {
  connectTimeoutMs: 10_000,
  responseTimeoutMs: 20_000,
  doubtMs: 2_000,
  unusedReleaseMs: 300_000,
  sessionsMax: 10_000,
  waitingPerKeyMax: 4_096,
  abandonedMax: 10_000,
};

export interface HbonePoolOptions {
  readonly clock: Clock;
  /**
   * The current certificate of a local identity; asked for every stream, so it must be cheap. The same object
   * until it is renewed. Throws (or rejects) when there is none.
   */
  readonly identity: (identity: string) => TlsIdentity | Promise<TlsIdentity>;
  /** The current lists. After a change call `recheck`. */
  readonly revocations?: () => Revocations | undefined;
  /** A connected socket, e.g. from inside a pod's namespace. Must heed `signal`. */
  readonly dial: (key: TunnelKey, signal: AbortSignal) => Promise<Socket>;
  readonly limits?: Partial<HbonePoolLimits>;
  /** 0 to 1; default: `Math.random`. */
  readonly random?: () => number;
}

export interface HbonePoolCounters extends AbandonedCounters {
  dials: number;
  /** Of those, dials of whom the dial before did not reach. */
  dialsAgain: number;
  dialFailures: number;
  streams: number;
  streamFailures: number;
  refusedAtBound: number;
  released: number;
  /** Handshakes that took less, for a ticket. */
  resumed: number;
  /** Open sessions that were ended for what `recheck` found. */
  endedByRecheck: number;
  /** Servers that were not taken, by reason. */
  readonly refusedPeers: PeerRefusalCounts;
  /** Of the sessions of HTTP/2. */
  readonly h2: H2Counters;
}

export function newPoolCounters(): HbonePoolCounters {
  return {
    dials: 0,
    dialsAgain: 0,
    dialFailures: 0,
    streams: 0,
    streamFailures: 0,
    refusedAtBound: 0,
    released: 0,
    resumed: 0,
    endedByRecheck: 0,
    abandoned: 0,
    abandonedOpen: 0,
    abandonedAtBound: 0,
    refusedPeers: newPeerRefusalCounts(),
    h2: newH2Counters(),
  };
}
