/** Phase `decode` of HTTP/2: a session of `@ambit/h2`, its idle and slow ends, and its streams in the one request model. */
import { type MeshError, Roster } from '@ambit/core';
import {
  EDGE_LIMITS,
  type H2Counters,
  H2Error,
  type H2Limits,
  type PeerConduct,
  ServerSession,
} from '@ambit/h2';
import type { ByteConn } from '@ambit/proxy';
import type { Sweeper, Swept } from '../h1/connection/sweeper.ts';
import type { HttpLimits } from '../limits.ts';
import type { ClientConnection, ClientConnectionHost } from './client-connection.ts';
import { Http2Exchange } from './http2-exchange.ts';

const MIB = 1024 * 1024;
/** Pseudo-header fields of a request; the engine's own limit does not count them. */
const PSEUDO_FIELDS = 4;

/** The rates and stalls of an edge: a tunnel says who called, not that its client means well. */
export function sessionLimits(limits: HttpLimits): H2Limits {
  return {
    ...EDGE_LIMITS,
    streamsMax: limits.streamsPerConnectionMax,
    headerListBytesMax: limits.headerBytesMax,
    headerFieldsMax: limits.headersMax + PSEUDO_FIELDS,
    headerBlockBytesMax: Math.max(limits.headerBytesMax, EDGE_LIMITS.headerBlockBytesMax),
    streamWindowBytesMax: MIB,
    connectionWindowBytes: 4 * MIB,
    connectionStallMs: limits.writeStallMs,
    streamStallMs: limits.writeStallMs,
  };
}

export interface Http2Options {
  readonly sweeper: Sweeper;
  readonly limits: HttpLimits;
  /** Of `sessionLimits`, made once. */
  readonly session: H2Limits;
  readonly counters: H2Counters;
  readonly conduct?: PeerConduct;
  readonly host: ClientConnectionHost;
}

/** Takes over the connection, which nobody has started. */
export function serveHttp2(conn: ByteConn, options: Http2Options): ClientConnection {
  return new Http2Connection(conn, options);
}

class Http2Connection implements ClientConnection, Swept {
  rosterSlot = -1;
  readonly #session: ServerSession;
  readonly #options: Http2Options;
  /** Whose bodies have not come whole. */
  readonly #awaited = new Roster<Http2Exchange>();
  #busyAt: number;

  constructor(conn: ByteConn, options: Http2Options) {
    const { sweeper, session, counters, conduct, host } = options;
    this.#options = options;
    this.#busyAt = sweeper.now();
    const sweeping = sweeper.add(this);
    this.#session = new ServerSession({
      transport: conn,
      clock: sweeper.clock,
      limits: session,
      counters,
      ...(conduct === undefined ? {} : { conduct }),
      onStream: (stream) => {
        const exchange = new Http2Exchange(stream, this.#awaited);
        if (exchange.body !== undefined) {
          exchange.windowAt = sweeper.now();
        }
        host.onExchange(exchange);
      },
      onClose: (error) => {
        sweeper.delete(sweeping);
        // A client that goes away in the middle has refused nobody.
        if (error instanceof H2Error && error.side === 'downstream') {
          host.onRefused(error);
        }
        host.onClosed();
      },
    });
  }

  leave(): void {
    this.#session.drain();
  }

  drain(): void {
    this.#session.drain();
  }

  destroy(reason?: MeshError): void {
    this.#session.destroy(reason);
  }

  sweep(nowMs: number): void {
    const { limits } = this.#options;
    if (this.#session.openStreams > 0) {
      this.#busyAt = nowMs;
    } else if (nowMs - this.#busyAt >= limits.idleTimeoutMs) {
      this.#session.drain();
    }
    for (const exchange of this.#awaited.all()) {
      if (!exchange.awaitsBody) {
        this.#awaited.delete(exchange);
      } else if (nowMs - exchange.windowAt >= limits.bodyWindowMs) {
        exchange.endWindow(nowMs);
      }
    }
  }
}
