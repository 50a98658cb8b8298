/** What happened at one server of tunnels. Metrics read it. */
import {
  FLOODS,
  type Flood,
  type H2Counters,
  newH2Counters,
  type ProbationCounters,
} from '@ambit/h2';
import { newPeerRefusalCounts, type PeerRefusalCounts } from './peer-refusals.ts';

/** What there was too much of; `boundsReached`: at a bound that is no rate. */
export type FloodReason = Flood | 'boundsReached';
export const FLOOD_REASONS: readonly FloodReason[] = [...FLOODS, 'boundsReached'];
export type FloodCounts = Record<FloodReason, number>;

export function newFloodCounts(): FloodCounts {
  return Object.fromEntries(FLOOD_REASONS.map((one) => [one, 0])) as FloodCounts;
}

export class HboneServerCounters {
  accepted = 0;
  handshakeFailures = 0;
  identityRefusals = 0;
  /** Handshakes that took less, for a ticket. */
  resumed = 0;
  /** Open sessions that were ended for what `recheck` found. */
  endedByRecheck = 0;
  /** Open sessions that take nothing new any more, for no root of now vouches for the client. */
  distrusted = 0;
  /** Clients that were not taken, in the handshake or right after it, by reason. */
  readonly refusedPeers: PeerRefusalCounts = newPeerRefusalCounts();
  /** Sessions and handshakes. */
  refusedAtBound = 0;
  /** Sessions that had to leave for one of somebody who has fewer. */
  displaced = 0;
  /** Handshakes that had to. */
  handshakesDisplaced = 0;
  /** Gone before, or in the handshake: the address is not known any more. */
  withoutAddress = 0;
  noCertificate = 0;
  badRequests = 0;
  refusals = 0;
  tunnels = 0;
  idleTimeouts = 0;
  /** Of the sessions of HTTP/2. */
  readonly h2: H2Counters = newH2Counters();
  /** Of peers that came back after a flood. */
  readonly probation: Readonly<ProbationCounters>;

  constructor(probation: Readonly<ProbationCounters>) {
    this.probation = probation;
  }

  /** Sessions that were ended because the peer sent too much of something. */
  get floods(): Readonly<FloodCounts> {
    const { floods, boundsReached } = this.h2;
    return { ...floods, boundsReached };
  }

  get prefaceTimeouts(): number {
    return this.h2.handshakeTimeouts;
  }
}
