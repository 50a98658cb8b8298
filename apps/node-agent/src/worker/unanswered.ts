/**
 * Endpoints of which a pod got no answer a moment ago: another one is asked first.
 *
 * Rule: this only ever changes the order. When the time is over one connection tries the endpoint again, and the others go
 * on without it until that one has got through.
 */
import { type Clock, MeshError } from '@ambit/core';
import { HboneError, isPolicyRefusal } from '@ambit/hbone';

const SHUNNED_MS = 10_000;
/** Beyond, the oldest is forgotten. */
const REMEMBERED_MAX = 256;

export class Unanswered {
  readonly #clock: Clock;
  /** Until when, by uid, or by `behind`. */
  readonly #until = new Map<string, number>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get size(): number {
    return this.#until.size;
  }

  has(uid: string): boolean {
    const until = this.#until.get(uid);
    return until !== undefined && this.#clock.now() < until;
  }

  /** Somebody tries it now. */
  tries(uid: string): void {
    if (this.#until.has(uid)) {
      this.failed(uid);
    }
  }

  answered(uid: string): void {
    this.#until.delete(uid);
  }

  failed(uid: string): void {
    this.#until.delete(uid);
    this.#until.set(uid, this.#clock.now() + SHUNNED_MS);
    if (this.#until.size > REMEMBERED_MAX) {
      const [oldest] = this.#until.keys();
      this.#until.delete(oldest ?? '');
    }
  }
}

/** An endpoint as the way to one destination: what is dead behind a waypoint says nothing of its other services. */
export function behind(uid: string, destination: string): string {
  return `${uid} ${destination}`;
}

/** What an error says is not to be asked: who gave a status is there, and cannot reach this destination. */
export function silentOne(error: MeshError, uid: string, destination: string): string {
  const isThere = error instanceof HboneError && error.status !== undefined;
  return isThere ? behind(uid, destination) : uid;
}

/** The other end is not there, is not who it should be, or has nobody behind it. Policy is an answer. */
export function isUnanswered(error: unknown): error is MeshError {
  return error instanceof MeshError && error.side === 'upstream' && !isPolicyRefusal(error);
}
