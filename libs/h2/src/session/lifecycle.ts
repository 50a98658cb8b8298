/**
 * The life of a session: how it ends, by whom, and what is said then (RFC 9113 §5.4, §6.8).
 *
 * States: `open` → `draining` (ends with its last stream) → `ending` (our last words are written, the peer has a
 * moment to close) → `closed`; never back. A callback that throws ends the session, not the process.
 */
import { type Clock, type ErrorSide, MeshError } from '@ambit/core';
import type { ByteConn } from '@ambit/proxy';
import {
  callbackFailed,
  closedHere,
  goawayError,
  type H2Error,
  handshakeTimeout,
  peerGone,
  pingTimeout,
  protocolError,
  stalled,
} from '../errors.ts';
import { ERROR, type ErrorNumber } from '../frames/protocol.ts';
import { type AlarmKind, Alarms } from './alarms.ts';
import { type H2Counters, newH2Counters } from './counters.ts';
import { Farewell } from './farewell.ts';
import { FloodGuard } from './flood-guard.ts';
import { Goaways } from './goaways.ts';
import type { Flood, H2Limits } from './limits.ts';
import { Pings } from './pings.ts';
import type { Goaway, SessionOptions } from './session-options.ts';
import type { Stream } from './stream.ts';
import { StreamTable } from './stream-table.ts';
import { Watch } from './watch.ts';
import { Writer } from './writer.ts';

export type SessionState = 'open' | 'draining' | 'ending' | 'closed';

export abstract class Lifecycle {
  readonly role: 'client' | 'server';
  readonly transport: ByteConn;
  readonly limits: H2Limits;
  readonly counters: H2Counters;
  readonly streams: StreamTable;
  protected readonly clock: Clock;
  protected readonly writer: Writer;
  protected readonly pings: Pings;
  /** The other end, for errors. */
  protected readonly side: ErrorSide;
  protected readonly options: SessionOptions;
  readonly #floods: FloodGuard;
  readonly #alarms: Alarms<AlarmKind>;
  readonly #watch: Watch;
  readonly #farewell: Farewell;
  readonly #goaways: Goaways;
  #state: SessionState = 'open';
  #isEstablished = false;
  #settingsSentAt = 0;
  #failure: MeshError | undefined;

  constructor(options: SessionOptions, role: 'client' | 'server') {
    const { transport, clock, limits } = options;
    this.options = options;
    this.role = role;
    this.side = role === 'client' ? 'upstream' : 'downstream';
    this.transport = transport;
    this.clock = clock;
    this.limits = limits;
    this.counters = options.counters ?? newH2Counters();
    this.counters.sessions += 1;
    const streams = new StreamTable(limits.closedStreamsMax);
    const alarms = new Alarms<AlarmKind>(clock, (kind) => this.guarded(() => this.#onAlarm(kind)));
    const writer = new Writer({
      transport,
      backlogBytesMax: limits.backlogBytesMax,
      repliesMax: limits.repliesMax,
      onStall: () => this.#watch.notice(),
      onReadPause: () => {
        this.counters.readPauses += 1;
      },
      onSent: (bytes, frames) => this.#floods.onSent(bytes, frames),
      guard: (work) => this.guarded(work),
    });
    this.streams = streams;
    this.writer = writer;
    this.pings = new Pings({ clock, alarms, writer, keepAlive: options.keepAlive });
    this.#farewell = new Farewell({ clock, alarms, limits, transport, writer });
    this.#goaways = new Goaways({ role, alarms, pings: this.pings, streams, writer });
    this.#floods = new FloodGuard(clock, limits.rates, options.conduct);
    this.#alarms = alarms;
    this.#watch = new Watch({
      alarms,
      limits,
      writer,
      streams,
      onConnectionStalled: () => this.#onConnectionStalled(),
      onStreamStalled: (stream) => this.#onStreamStalled(stream),
    });
  }

  get state(): SessionState {
    return this.#state;
  }

  /** The peer's first SETTINGS have come. */
  get isEstablished(): boolean {
    return this.#isEstablished;
  }

  get goaway(): Goaway | undefined {
    return this.#goaways.received;
  }

  /** Nothing that the peer sent is looked at any more. */
  protected abstract stopReading(): void;

  protected abstract onBytes(chunk: Uint8Array): void;

  /** Our part of the preface is written. */
  protected begin(): void {
    this.writer.schedule();
    this.#settingsSentAt = this.clock.now();
    this.#alarms.set('handshake', this.limits.handshakeTimeoutMs);
    this.#alarms.set('settings-ack', this.limits.settingsAckTimeoutMs);
    this.pings.start();
    this.transport.start({
      borrows: true,
      onData: (chunk) => this.#onData(chunk),
      onEnd: () => this.guarded(() => this.#onTransportEnd()),
      onDrain: () => this.guarded(() => this.writer.onDrain()),
      onClose: (error) => this.#onTransportClose(error),
    });
  }

  protected established(): void {
    if (!this.#isEstablished) {
      this.#isEstablished = true;
      this.#alarms.clear('handshake');
    }
  }

  onSettingsAck(): void {
    if (this.#alarms.isSet('settings-ack')) {
      this.#alarms.clear('settings-ack');
      this.pings.measured(this.#settingsSentAt);
    }
  }

  onPingAck(payload: Uint8Array): void {
    if (this.pings.onAck(payload) === 'drain') {
      this.#promiseLast();
    }
  }

  protected goawayReceived(goaway: Goaway): void {
    this.#goaways.received = goaway;
    if (this.#state === 'open') {
      this.#state = 'draining';
    }
  }

  /** A stream with a number beyond what GOAWAY promised is not processed (§6.8). */
  protected isPromised(streamId: number): boolean {
    return this.#goaways.isPromised(streamId);
  }

  /** No new streams; ends with the last one. Idempotent. */
  drain(): void {
    if (this.#goaways.isDrainAsked || this.#isOver()) {
      return;
    }
    this.#state = 'draining';
    this.#goaways.askToDrain();
    this.endIfDone();
  }

  /** Now, with everything on it. Idempotent. */
  destroy(reason?: MeshError): void {
    if (this.#state === 'closed') {
      return;
    }
    this.#failure ??= reason;
    this.#stop(reason ?? closedHere());
    this.writer.stop();
    this.transport.destroy(reason);
  }

  /** Now, but what was sent before still leaves, and a GOAWAY. Every stream that is open is over. Idempotent. */
  end(): void {
    this.#endWith(closedHere(), { isPatient: true });
  }

  /** §5.4.1: an error of the connection. */
  fail(code: ErrorNumber, message: string): void {
    if (this.#isOver()) {
      return;
    }
    if (code === ERROR.ENHANCE_YOUR_CALM) {
      this.counters.boundsReached += 1;
      this.options.conduct?.ended(undefined, undefined);
    } else {
      this.counters.protocolErrors += 1;
    }
    this.#endWith(protocolError(code, message, this.side));
  }

  /** False: too many, and the session has ended. */
  allow(flood: Flood): boolean {
    if (this.#floods.take(flood)) {
      return true;
    }
    if (!this.#isOver()) {
      this.counters.floods[flood] += 1;
      this.options.conduct?.ended(flood, this.limits.rates[flood]);
      const message = `too many at a time: ${flood}`;
      this.#endWith(protocolError(ERROR.ENHANCE_YOUR_CALM, message, this.side));
    }
    return false;
  }

  /** In order, when draining and nothing is left. Not at once: whoever ended the last stream may be within a call. */
  protected endIfDone(): void {
    const isDone = (): boolean =>
      this.#state === 'draining' && this.streams.size === 0 && !this.#goaways.isUnderWay;
    if (isDone()) {
      queueMicrotask(() => {
        if (isDone()) {
          this.#goaways.sayDone();
          this.#state = 'ending';
          this.stopReading();
          this.#farewell.begin(true);
        }
      });
    }
  }

  #isOver(): boolean {
    return this.#state === 'ending' || this.#state === 'closed';
  }

  #endWith(error: H2Error, { isPatient = false } = {}): void {
    if (this.#isOver()) {
      return;
    }
    this.#failure = error;
    this.#goaways.say(error.number, error.message);
    this.#stop(error);
    this.#farewell.begin(isPatient);
  }

  /** Nothing of the peer is listened to any more, and every stream is over. */
  #stop(error: MeshError): void {
    if (this.#state !== 'closed') {
      this.#state = 'ending';
    }
    this.stopReading();
    for (const stream of this.streams.all()) {
      this.streams.end(stream.id, 'reset-here');
      this.guarded(() => stream.close(error));
    }
  }

  /** A connection of HTTP/2 has no half-open state: who has ended hears nothing more of its streams. */
  #onTransportEnd(): void {
    if (this.#isOver()) {
      return;
    }
    if (this.streams.size > 0 || !this.isEstablished) {
      const { goaway } = this;
      this.#failure =
        goaway === undefined
          ? peerGone(this.side)
          : goawayError(goaway.code, goaway.debug, this.side);
    }
    this.#stop(this.#failure ?? peerGone(this.side));
    this.#farewell.begin(true);
  }

  #onTransportClose(error: Error | undefined): void {
    if (this.#state === 'closed') {
      return;
    }
    const lost = error instanceof MeshError ? error : peerGone(this.side);
    const isOrderly = error === undefined && this.streams.size === 0 && this.isEstablished;
    if (this.#state !== 'ending' && !isOrderly) {
      this.#failure ??= lost;
    }
    this.#stop(this.#failure ?? lost);
    this.#state = 'closed';
    this.#alarms.stop();
    this.writer.stop();
    this.options.onClose?.(this.#failure);
  }

  #onData(chunk: Uint8Array): void {
    try {
      if (this.#isOver()) {
        this.#farewell.heard(chunk.length);
      }
      this.pings.heard();
      this.onBytes(chunk);
    } catch (error) {
      this.#onCallbackError(error);
    }
  }

  guarded(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#onCallbackError(error);
    }
  }

  /** Programmer's errors in callbacks. */
  #onCallbackError(cause: unknown): void {
    this.counters.callbackErrors += 1;
    this.#endWith(callbackFailed(cause));
  }

  #onAlarm(kind: AlarmKind): void {
    const { counters } = this;
    switch (kind) {
      case 'handshake':
        counters.handshakeTimeouts += 1;
        this.destroy(handshakeTimeout('the peer did not say its preface in time', this.side));
        return;
      case 'settings-ack':
        // §6.5.3.
        counters.settingsTimeouts += 1;
        this.#endWith(handshakeTimeout('the peer did not acknowledge SETTINGS in time', this.side));
        return;
      case 'ping':
        this.pings.send('keep-alive');
        return;
      case 'ping-answer':
        if (this.pings.takesLonger()) {
          return;
        }
        counters.pingTimeouts += 1;
        this.destroy(pingTimeout(this.side));
        return;
      case 'probe':
        this.pings.probeIsDue();
        return;
      case 'drain':
        this.#promiseLast();
        return;
      case 'watch':
        this.#watch.look();
        return;
      case 'close':
        if (!this.#farewell.look()) {
          this.transport.destroy();
        }
        return;
    }
  }

  #onConnectionStalled(): void {
    this.counters.connectionStalls += 1;
    this.destroy(stalled('the peer takes nothing from the connection', this.side));
  }

  #onStreamStalled(stream: Stream): void {
    this.counters.streamStalls += 1;
    this.abandon(stream, stalled('the peer opens no window for the stream', this.side));
  }

  /** RST_STREAM with CANCEL, and the stream is over. */
  protected abstract abandon(stream: Stream, error: MeshError): void;

  /** §6.8: the second GOAWAY of a server. */
  #promiseLast(): void {
    this.#alarms.clear('drain');
    if (this.#state === 'draining' && this.#goaways.promiseLast()) {
      this.endIfDone();
    }
  }
}
