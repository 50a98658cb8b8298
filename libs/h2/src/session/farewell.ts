/**
 * From our last words to the end of the connection: how long the peer has to take what is left, and to close.
 *
 * Rule: what was accepted is not lost while it moves. A peer that takes some of it, or says a little, as readers do with every
 * window, has its time again, up to a bound in all; one that does neither is cut after the short time. It looks
 * now and then, and at no frame.
 */
import type { Clock } from '@ambit/core';
import type { ByteConn } from '@ambit/proxy';
import type { AlarmKind, Alarms } from './alarms.ts';
import type { H2Limits } from './limits.ts';
import type { Writer } from './writer.ts';

export interface FarewellOptions {
  readonly clock: Clock;
  readonly alarms: Alarms<AlarmKind>;
  readonly limits: H2Limits;
  readonly transport: ByteConn;
  readonly writer: Writer;
}

/** Looks in the time after which a peer that does nothing is cut. */
const LOOKS = 4;
/** Of windows and answers to PING. Nobody looks at what comes now, so whoever sends more is not heard. */
const HEARD_BYTES_MAX = 64 * 1024;

export class Farewell {
  readonly #options: FarewellOptions;
  #pendingBytes: number | undefined;
  #movedAt = 0;
  #heardBytes = 0;
  /** Cut then, whatever moves. */
  #until = 0;

  constructor(options: FarewellOptions) {
    this.#options = options;
  }

  /** Everything was said. `isPatient`: the peer did nothing wrong. */
  begin(isPatient: boolean): void {
    const { clock, alarms, limits, transport, writer } = this.#options;
    const { closeTimeoutMs, closeLingerMs } = limits;
    this.#movedAt = clock.now();
    this.#until = this.#movedAt + (isPatient ? closeLingerMs : closeTimeoutMs);
    writer.close();
    alarms.stop();
    alarms.set('close', closeTimeoutMs / LOOKS);
    transport.end();
    // Its end is waited for, also where nothing was read any more.
    transport.resume();
    this.#pendingBytes = transport.pendingBytes;
  }

  /** So much has come from the peer since. */
  heard(bytes: number): void {
    this.#heardBytes += bytes;
    if (this.#heardBytes <= HEARD_BYTES_MAX) {
      this.#movedAt = this.#options.clock.now();
    }
  }

  /** False: the time is over. */
  look(): boolean {
    const { clock, alarms, limits, transport } = this.#options;
    const { closeTimeoutMs } = limits;
    const now = clock.now();
    const { pendingBytes } = transport;
    if (pendingBytes !== this.#pendingBytes) {
      this.#pendingBytes = pendingBytes;
      this.#movedAt = now;
    }
    const leftMs = Math.min(this.#movedAt + closeTimeoutMs, this.#until) - now;
    if (leftMs <= 0) {
      return false;
    }
    alarms.set('close', Math.min(leftMs, closeTimeoutMs / LOOKS));
    return true;
  }
}
