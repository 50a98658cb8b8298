/**
 * The dialling end of a tunnel session: HTTP/2 and CONNECT, over the socket of a finished handshake.
 *
 * Rule: nothing of a caller is sent before the server's SPIFFE id matched an expected one (`client-handshake.ts`).
 */
import type { TLSSocket } from 'node:tls';

import { type Cancellation, type Clock, MeshError } from '@ambit/core';
import {
  type ClientStream,
  ERROR,
  ClientSession as H2ClientSession,
  type H2Counters,
  type ResponseHead,
  type ResponseSink,
} from '@ambit/h2';
import { type ByteConn, type Deadline, type Deadlines, isPeerGone } from '@ambit/proxy';
import { AnsweredResets } from './answered-resets.ts';
import {
  abortReason,
  endedForAll,
  isOverdue,
  lost,
  noAnswer,
  requireOk,
  silent,
} from './connect-errors.ts';
import { fromH2Error, HboneError } from './errors.ts';
import { GivenUp, type GivenUpOptions } from './given-up.ts';
import { CLIENT_LIMITS, fieldsOf, headersOf, KEEP_ALIVE, transportOf } from './session.ts';
import type { PeerIdentity } from './tls.ts';

export interface HboneStream {
  readonly conn: ByteConn;
  /** The peer's, lower case, without `:status`. Telemetry only (`baggage`). */
  readonly responseHeaders: Readonly<Record<string, string>>;
  readonly peer: PeerIdentity;
}

export interface ClientSessionOptions {
  readonly socket: TLSSocket;
  readonly peer: PeerIdentity;
  /** The handshake was cut short by a ticket. */
  readonly isResumed?: boolean;
  readonly clock: Clock;
  readonly counters: H2Counters;
  /** Of CONNECTs that wait for their answer; shared by the sessions of a pool. */
  readonly responseDeadlines: Deadlines;
  /** When one has waited so long that the peer is asked whether it is there at all. */
  readonly doubts: Deadlines;
  /** How far CONNECTs are kept that nobody waits for; shared too. */
  readonly abandoning: Omit<GivenUpOptions, 'clock'>;
  /** The session takes no new streams any more (GOAWAY, lost, closed). */
  readonly onRetired: () => void;
  readonly onClose: () => void;
}

export interface ConnectOptions {
  readonly authority: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: Cancellation;
}

/** Streams a session, as the reference has it. */
const STREAMS_MAX = 100;
/** For a peer that owes another answer already. */
const ASKED_TIMEOUT_MS = 2_000;

export class ClientSession {
  readonly peer: PeerIdentity;
  readonly #options: ClientSessionOptions;
  readonly #session: H2ClientSession;
  /** Who waits for an answer to CONNECT, to be told when the peer is silent. */
  readonly #waiting = new Set<(error: HboneError) => void>();
  readonly #givenUp: GivenUp;
  readonly #answeredResets: AnsweredResets;
  readonly #retired = new AbortController();
  #streams = 0;
  #wasUsed = false;
  #isAsking = false;
  #failure: MeshError | undefined;

  constructor(options: ClientSessionOptions) {
    this.#options = options;
    this.peer = options.peer;
    this.#givenUp = new GivenUp({ ...options.abandoning, clock: options.clock });
    this.#answeredResets = new AnsweredResets({
      ...options.abandoning,
      clock: options.clock,
      reset: (stream, code) => this.#session.resetHeld(stream, code),
      onReset: () => this.#closeIfDone(),
    });
    this.#session = new H2ClientSession({
      transport: transportOf(options.socket, 'upstream'),
      clock: options.clock,
      limits: CLIENT_LIMITS,
      counters: options.counters,
      keepAlive: KEEP_ALIVE,
      holdsReset: (stream, code) => this.#answeredResets.holds(stream, code),
      onGoaway: () => this.retire(),
      onClose: (error) => {
        this.#failure ??= error;
        this.#answeredResets.clear();
        this.retire();
        options.onClose();
      },
    });
  }

  /** Reserved and open ones, also those that nobody waits for any more. */
  get streams(): number {
    return this.#streams + this.#answeredResets.size;
  }

  /** So many fit. */
  get streamsMax(): number {
    const { isEstablished, peerSettings } = this.#session;
    return isEstablished ? Math.min(STREAMS_MAX, peerSettings.streamsMax) : STREAMS_MAX;
  }

  get isRetired(): boolean {
    return this.#retired.signal.aborted;
  }

  get retiredSignal(): AbortSignal {
    return this.#retired.signal;
  }

  /** True once a stream was reserved here. */
  get wasUsed(): boolean {
    return this.#wasUsed;
  }

  /** No new streams; closes when the last one ends. Idempotent. */
  retire(): void {
    if (this.isRetired) {
      return;
    }
    this.#retired.abort();
    this.#options.onRetired();
    this.#closeIfDone();
  }

  /**
   * Counts one stream ahead, so that a burst never asks for more than the peer takes. False: retired.
   * Each success is followed by one `connect`. The last one that fits retires the session for good.
   */
  reserve(): boolean {
    if (this.#session.isDraining) {
      this.retire();
    }
    if (this.isRetired) {
      return false;
    }
    this.#wasUsed = true;
    this.#streams += 1;
    if (this.streams >= this.streamsMax) {
      this.retire();
    }
    return true;
  }

  destroy(reason?: MeshError): void {
    this.#session.destroy(reason);
  }

  /** Opens one tunnel; takes one reservation. Resolves when the peer answered 200. */
  async connect(options: ConnectOptions): Promise<HboneStream> {
    const { signal } = options;
    const { responseDeadlines, doubts } = this.#options;
    const answered = Promise.withResolvers<ResponseHead>();
    const { resolve, reject } = answered;
    const stream = this.#open(options, {
      onResponse: (head) => {
        resolve(head);
        this.#givenUp.answered(stream);
      },
      onNoResponse: (error) => reject(this.#whyClosed(error)),
    });
    const deadline = responseDeadlines.add(() => {
      this.#givenUp.expired(stream);
      reject(noAnswer());
    });
    this.#releaseWhenClosed(stream, deadline);
    const abort = (): void => reject(abortReason(signal));
    signal?.addEventListener('abort', abort, { once: true });
    this.#waiting.add(reject);
    const doubt = doubts.add(() => this.#ask());
    try {
      const head = await answered.promise;
      requireOk(head);
      if (signal?.aborted) {
        throw abortReason(signal);
      }
      responseDeadlines.cancel(deadline);
      return { conn: stream, responseHeaders: headersOf(head.fields), peer: this.peer };
    } catch (error) {
      this.#giveUp(stream, error);
      throw error;
    } finally {
      signal?.removeEventListener('abort', abort);
      this.#waiting.delete(reject);
      doubts.cancel(doubt);
    }
  }

  /** By itself: a function made in `connect` would keep all of that alive as long as the stream. */
  #releaseWhenClosed(stream: ClientStream, deadline: Deadline): void {
    stream.whenClosed(() => {
      this.#options.responseDeadlines.cancel(deadline);
      this.#givenUp.closed(stream);
      this.#release();
    });
  }

  #giveUp(stream: ClientStream, why: unknown): void {
    if (this.#givenUp.add(stream)) {
      if (isOverdue(why)) {
        this.#givenUp.expired(stream);
      }
      this.#closeIfDone();
    }
  }

  /**
   * The keepalive takes 30 s to end a session whose peer has vanished, and with it what is under way there. Nobody new has to wait
   * for that: they are sent elsewhere as soon as a PING stays unanswered too.
   */
  #ask(): void {
    // Also where it is retired: those that wait on a full tunnel are as new.
    if (this.#isAsking) {
      return;
    }
    this.#isAsking = true;
    this.#session.probe(ASKED_TIMEOUT_MS, (isThere) => {
      this.#isAsking = false;
      if (!isThere) {
        this.retire();
        for (const reject of this.#waiting) {
          reject(silent());
        }
      }
    });
  }

  #open(options: ConnectOptions, sink: ResponseSink): ClientStream {
    try {
      if (options.signal?.aborted) {
        throw abortReason(options.signal);
      }
      const { authority, headers } = options;
      return this.#session.request(
        {
          method: 'CONNECT',
          scheme: undefined,
          path: undefined,
          authority,
          fields: fieldsOf(headers),
        },
        sink,
      );
    } catch (error) {
      this.#release();
      throw error instanceof MeshError ? fromH2Error(error, 'upstream') : error;
    }
  }

  #release(): void {
    this.#streams -= 1;
    this.#closeIfDone();
  }

  #closeIfDone(): void {
    if (!this.isRetired) {
      return;
    }
    if (this.streams === 0) {
      this.#session.drain();
    } else if (this.#isForNobody) {
      // Whoever ended the last stream may be within a call, and its last bytes are to be sent.
      queueMicrotask(() => {
        if (this.#isForNobody) {
          this.#session.end();
        }
      });
    }
  }

  /** All that is open are streams that nobody waits for. The end of the connection is none of the resets that peers count. */
  get #isForNobody(): boolean {
    return this.streams > 0 && this.#streams === this.#givenUp.size;
  }

  #whyClosed(error: MeshError | undefined): Error {
    if (this.#session.goaway?.code === ERROR.ENHANCE_YOUR_CALM) {
      // Too much was asked by all that share the session, and nothing of this caller was sent: it may be asked again.
      return endedForAll(error);
    }
    const reason = this.#failure ?? error;
    const mapped = reason === undefined ? undefined : fromH2Error(reason, 'upstream');
    if (mapped !== undefined && !isPeerGone(mapped)) {
      return mapped;
    }
    if (!this.#session.isEstablished && this.#options.isResumed) {
      // A server that does not know the ticket's certificate any more says so by its end; a full handshake may do.
      return new HboneError('HBONE_REFUSED_STREAM', 'the peer did not go on with the session', {
        side: 'upstream',
        retryable: true,
        refusal: 'resumption',
        cause: reason,
      });
    }
    if (!this.#session.isEstablished) {
      // In TLS 1.3 a server refuses the client's certificate after the client's handshake is done.
      return new HboneError(
        'HBONE_TLS',
        'tls error: the peer closed after the handshake, maybe it does not accept our certificate',
        { side: 'upstream', cause: reason },
      );
    }
    return lost('the tunnel was lost before the peer answered');
  }
}
