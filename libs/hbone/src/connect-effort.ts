/**
 * One caller's tries to reach somebody through a tunnel, until its connect timeout.
 *
 * Rule: only what reached nobody is tried again. An answer is an answer: a status, a certificate that is not the right one,
 * a refusal by policy.
 */
import { type Clock, MeshError } from '@ambit/core';
import { FINISHED } from '@ambit/proxy';
import { HboneError } from './errors.ts';
import { settled } from './session.ts';

/** What was found instead of the peer, in words of the log. */
const FINDINGS: ReadonlyMap<string, string> = new Map([
  ['PROXY_REFUSED', 'refused connections'],
  ['PROXY_UNREACHABLE', 'was not reachable'],
  ['PROXY_PEER_GONE', 'cut connections'],
  ['PROXY_PEER_SILENT', 'was silent'],
  ['WORKER_CONNECT_TIMEOUT', 'was silent'],
  ['HBONE_CONNECT_TIMEOUT', 'was silent'],
  ['HBONE_TUNNEL_LOST', 'cut connections'],
  ['HBONE_ENDPOINT_LEFT', 'was there no more'],
]);

/** Nobody was there to answer: no byte of the caller has gone anywhere, and the next dial may find somebody. */
export function isUnreached(error: unknown): error is MeshError {
  return error instanceof MeshError && error.side === 'upstream' && FINDINGS.has(error.code);
}

/** The endpoint left: nothing was found out about its agent. */
export function hasLeft(error: MeshError): boolean {
  return error.code === 'HBONE_ENDPOINT_LEFT';
}

export class ConnectEffort implements Disposable {
  readonly #clock: Clock;
  readonly #timeoutMs: number;
  readonly #startedAt: number;
  readonly #done = new AbortController();
  #over: AbortController | undefined;
  #failures = 0;
  #last: MeshError | undefined;

  constructor(clock: Clock, timeoutMs: number) {
    this.#clock = clock;
    this.#timeoutMs = timeoutMs;
    this.#startedAt = clock.now();
  }

  /** Aborts at the connect timeout. Undefined before the first failure: until then the dial has its own. */
  get signal(): AbortSignal | undefined {
    return this.#over?.signal;
  }

  get failures(): number {
    return this.#failures;
  }

  /** After a failure that `isUnreached`. False: the time is over. */
  goesOn(error: MeshError): boolean {
    this.#failures += 1;
    this.#last = error;
    const leftMs = this.#startedAt + this.#timeoutMs - this.#clock.now();
    if (leftMs <= 0) {
      return false;
    }
    if (this.#over === undefined) {
      const over = new AbortController();
      this.#over = over;
      settled(this.#clock.sleep(leftMs, this.#done.signal))
        .then((isOver) => {
          if (isOver) over.abort(this.failure(this.#last ?? error));
        })
        .catch(() => undefined);
    }
    return true;
  }

  /** What the caller hears in the end, for the last error: after several, what it has waited for. */
  failure(last: MeshError): MeshError {
    const error = hasLeft(last) ? (this.#last ?? last) : last;
    const found = FINDINGS.get(error.code);
    const isFirst = this.#failures <= 1 && this.#over === undefined;
    if (found === undefined || isFirst) {
      return error;
    }
    const seconds = ((this.#clock.now() - this.#startedAt) / 1_000).toFixed(1);
    const tries = this.#failures === 1 ? 'once' : `${this.#failures} times`;
    return new HboneError(
      'HBONE_PEER_AWAY',
      `the peer's agent ${found} for ${seconds} s (asked ${tries})`,
      { side: 'upstream', retryable: true, cause: error },
    );
  }

  [Symbol.dispose](): void {
    this.#done.abort(FINISHED);
  }
}
