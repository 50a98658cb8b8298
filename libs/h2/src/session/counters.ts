/** What happened on sessions. One object for all sessions of a listener or a pool; metrics read it. */
import { FLOODS, type Flood } from './limits.ts';

export interface H2Counters {
  sessions: number;
  streams: number;
  /** Connections ended because the peer broke the protocol. */
  protocolErrors: number;
  /** Streams reset by us because of what the peer sent on them. */
  streamErrors: number;
  /** Connections ended at a bound that is no rate: CONTINUATION, header blocks, replies. */
  boundsReached: number;
  /** Connections ended at a rate. */
  readonly floods: Record<Flood, number>;
  refusedStreams: number;
  oversizeHeaders: number;
  handshakeTimeouts: number;
  settingsTimeouts: number;
  pingTimeouts: number;
  connectionStalls: number;
  streamStalls: number;
  /** How often reading stopped because the peer does not take our answers. */
  readPauses: number;
  /** Callbacks that threw; each ended its session. */
  callbackErrors: number;
}

export function newH2Counters(): H2Counters {
  return {
    sessions: 0,
    streams: 0,
    protocolErrors: 0,
    streamErrors: 0,
    boundsReached: 0,
    floods: Object.fromEntries(FLOODS.map((flood) => [flood, 0])) as Record<Flood, number>,
    refusedStreams: 0,
    oversizeHeaders: 0,
    handshakeTimeouts: 0,
    settingsTimeouts: 0,
    pingTimeouts: 0,
    connectionStalls: 0,
    streamStalls: 0,
    readPauses: 0,
    callbackErrors: 0,
  };
}
