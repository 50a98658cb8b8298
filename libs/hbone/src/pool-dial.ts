/**
 * How a pool comes to a new session: the turn of who was away, a connected socket, the handshake, all within the connect timeout.
 *
 * Rule: between the check of the certificate against the newest lists and the session's entry in the pool nothing else runs, so that
 * a change of the lists meets the one or the other; and so does the leave of the endpoint.
 */
import { MeshError } from '@ambit/core';
import { FINISHED, fromIoError } from '@ambit/proxy';
import { type SecuredClient, secureClient } from './client-handshake.ts';
import type { ClientSession } from './client-session.ts';
import { hasLeft, isUnreached } from './connect-effort.ts';
import type { DialBackoff } from './dial-backoff.ts';
import { HboneError, poolClosed } from './errors.ts';
import type { HbonePoolCounters, HbonePoolOptions } from './pool-options.ts';
import { disposeLate, raceAbort } from './race-abort.ts';
import { settled } from './session.ts';
import { requireValid, type TlsIdentity } from './tls.ts';
import { trustOf } from './trust.ts';
import { keyText, type TunnelKey } from './tunnel-key.ts';

export interface PoolDialing<T> {
  /** Aborted when the endpoint leaves, with what all who wait are told. */
  readonly left: AbortSignal;
  /** Enters a session into the pool, and begins it. `own`: the certificate that it was made with. */
  readonly begin: (own: TlsIdentity, secured: SecuredClient) => T;
}

export interface PoolDialParts {
  readonly options: HbonePoolOptions;
  readonly connectTimeoutMs: number;
  readonly backoff: DialBackoff;
  readonly counters: HbonePoolCounters;
  /** Aborted when the pool closes. */
  readonly closed: AbortSignal;
}

export class PoolDial {
  readonly #parts: PoolDialParts;

  constructor(parts: PoolDialParts) {
    this.#parts = parts;
  }

  /** Rejects with a MeshError. */
  async open<T extends { readonly session: ClientSession }>(
    key: TunnelKey,
    { left, begin }: PoolDialing<T>,
  ): Promise<T> {
    const { counters, closed } = this.#parts;
    const over = new AbortController();
    const deadline = this.#deadline(over, left);
    try {
      await this.#awaitTurn(keyText(key), over.signal);
      counters.dials += 1;
      const tunnel = await this.#establish(key, over.signal, begin);
      if (closed.aborted) {
        tunnel.session.destroy();
        throw poolClosed();
      }
      return tunnel;
    } catch (error) {
      counters.dialFailures += 1;
      const failure = error instanceof MeshError ? error : fromIoError(error, 'upstream');
      this.#noteFailure(key, failure);
      throw failure;
    } finally {
      deadline.abort(FINISHED);
    }
  }

  /** The certificate of ours for new streams of a key. Throws when there is none that holds. */
  async identity({ sourceIdentity }: TunnelKey): Promise<TlsIdentity> {
    const { identity, clock } = this.#parts.options;
    return requireValid(await identity(sourceIdentity), clock);
  }

  /** Who was away a moment ago is not asked at once again. */
  async #awaitTurn(text: string, signal: AbortSignal): Promise<void> {
    const { backoff, counters, options } = this.#parts;
    const isAgain = backoff.has(text);
    const waitMs = backoff.waitMs(text);
    if (waitMs > 0) {
      await raceAbort(options.clock.sleep(waitMs, signal), signal);
    }
    counters.dialsAgain += isAgain ? 1 : 0;
  }

  async #establish<T>(
    key: TunnelKey,
    signal: AbortSignal,
    begin: PoolDialing<T>['begin'],
  ): Promise<T> {
    const { clock, dial, revocations } = this.#parts.options;
    const own = await this.identity(key);
    signal.throwIfAborted();
    const raw = await raceAbort(disposeLate(dial(key, signal), signal), signal);
    let socket = raw;
    try {
      raw.setNoDelay(true);
      const secured = await secureClient(raw, {
        trust: trustOf(own, revocations?.()),
        expectedIdentities: key.expectedIdentities,
        ticketKey: keyText(key),
        nowMs: () => clock.wallNow(),
        signal,
      });
      socket = secured.socket;
      // The lists may have changed in the handshake.
      trustOf(own, revocations?.()).check(secured.peer, 'server', clock.wallNow());
      signal.throwIfAborted();
      return begin(own, secured);
    } catch (error) {
      socket.destroy();
      raw.destroy();
      throw error;
    }
  }

  #noteFailure(key: TunnelKey, failure: MeshError): void {
    const { backoff, counters } = this.#parts;
    if (failure instanceof HboneError && failure.refusal !== undefined) {
      counters.refusedPeers[failure.refusal] += 1;
    }
    if (isUnreached(failure) && !hasLeft(failure)) {
      backoff.failed(keyText(key));
    }
  }

  /** Ends `over` at the connect timeout, with the pool, or with the endpoint; abort the result when the connect is decided. */
  #deadline(over: AbortController, left: AbortSignal): AbortController {
    const { closed, connectTimeoutMs, options } = this.#parts;
    const decided = new AbortController();
    const sleep = options.clock.sleep(connectTimeoutMs, decided.signal);
    for (const end of [closed, left]) {
      const onEnd = (): void => over.abort(end.reason);
      end.addEventListener('abort', onEnd, { once: true, signal: decided.signal });
    }
    settled(sleep)
      .then((expired) => {
        if (expired) {
          over.abort(timedOut(connectTimeoutMs));
        }
      })
      .catch(() => undefined);
    return decided;
  }
}

function timedOut(connectTimeoutMs: number): HboneError {
  return new HboneError(
    'HBONE_CONNECT_TIMEOUT',
    `connection timed out, maybe a NetworkPolicy is blocking HBONE port 15008: no answer within ${connectTimeoutMs} ms`,
    { side: 'upstream', retryable: true },
  );
}
