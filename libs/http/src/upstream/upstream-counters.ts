/** What happened on connections to endpoints, in numbers for metrics. */
import type { Http1Pool } from './http1-pool.ts';
import type { Http2Pool } from './http2-pool.ts';

export interface UpstreamCounters {
  /** Open now: of HTTP/1, in use or not, and without a request; sessions of HTTP/2. */
  readonly connections: number;
  readonly idle: number;
  readonly sessions: number;
  /** So far, of HTTP/1. */
  readonly opened: number;
  readonly reused: number;
  readonly idleClosed: number;
  /** Requests sent again because the server had closed an idle connection, or refused their stream unprocessed. */
  readonly repeated: number;
  /** Sessions of HTTP/2 for which there was no place in this process. */
  readonly sessionsRefused: number;
  /** How often one took no requests for a while because others had waited for a place of the cluster. */
  readonly sessionsYielded: number;
  /** Sessions of HTTP/2 ended because the server had something to say and answered no PING. */
  readonly pingTimeouts: number;
  /** Responses that were no HTTP, or too large, or too slow, of both versions. */
  readonly responsesRefused: number;
  /** Sessions ended because the server sent too much of something. */
  readonly floods: number;
}

export function upstreamCounters(http1: Http1Pool, http2: Http2Pool): UpstreamCounters {
  const { streamErrors, protocolErrors, boundsReached, floods } = http2.counters;
  let responsesRefused = streamErrors + protocolErrors + http2.interimsRefused;
  for (const [, count] of http1.refusals) {
    responsesRefused += count;
  }
  let flooded = boundsReached;
  for (const count of Object.values(floods)) {
    flooded += count;
  }
  return {
    connections: http1.size,
    idle: http1.idle,
    sessions: http2.size,
    ...http1.counters,
    repeated: http1.counters.repeated + http2.repeated,
    sessionsRefused: http2.sessions.refused,
    sessionsYielded: http2.sessions.yielded,
    pingTimeouts: http2.counters.pingTimeouts,
    responsesRefused,
    floods: flooded,
  };
}
