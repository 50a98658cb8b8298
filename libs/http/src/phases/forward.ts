/**
 * Phase `forward`: choose where, send, and (phase `retry`) send again where that is allowed.
 *
 * Rule: its listener hears exactly one of a response and a failure, unless `stop` comes first. A request holds its place in the
 * cluster's limits until it is over.
 */
import { backoffMs, type TryOutcome, tryTimeoutMs } from '@ambit/routing';
import { HttpError, toHttpError } from '../errors.ts';
import type { HeaderList } from '../headers.ts';
import type { CancelTimer } from '../timers.ts';
import type { EngineContext, Transaction } from '../transaction.ts';
import { linkTo } from '../upstream/link.ts';
import type { Try, TryResponse, TrySink } from '../upstream/try.ts';
import { sendMirrors } from './mirror.ts';
import { type ForwardPlan, pickEndpoint, planForward } from './plan.ts';
import { outcomeOfError, outcomeOfResponse, takesRetry } from './retry.ts';

export interface ForwardListener {
  onResponse(response: TryResponse): void;
  onForwardFailed(error: HttpError): void;
}

export class Forwarding implements TrySink {
  readonly #tx: Transaction;
  readonly #context: EngineContext;
  readonly #listener: ForwardListener;
  readonly #plan: ForwardPlan;
  /** Keys of endpoints that were tried, where a policy asks for others. */
  #tried: Set<string> | undefined;
  #try: Try | undefined;
  #stopTimer: CancelTimer | undefined;
  /** Clock time at which the route's timeout ends; undefined until it began. */
  #deadline: number | undefined;
  #holdsRetry = false;
  #isOver = false;
  /** Why the request is over. */
  #stopped: HttpError | undefined;

  /** Throws an HttpError. */
  constructor(tx: Transaction, context: EngineContext, listener: ForwardListener) {
    this.#tx = tx;
    this.#context = context;
    this.#listener = listener;
    this.#plan = planForward(tx, context);
  }

  start(): void {
    const { timeoutMs, head } = this.#plan;
    sendMirrors(this.#tx, this.#context, head);
    if (timeoutMs !== undefined) {
      this.#startDeadline(timeoutMs);
    }
    this.#send();
  }

  /** The request is over, for `reason`: also a response's body that flows. */
  stop(reason: HttpError): void {
    this.#isOver = true;
    this.#stopped ??= reason;
    this.#endTry();
    this.#try?.abort(reason);
  }

  onInterim(status: number, headers: HeaderList): void {
    if (!this.#isOver) {
      this.#tx.exchange.sendInterim(status, headers.lines);
    }
  }

  onResponse(response: TryResponse): void {
    if (this.#isOver) {
      response.body.cancel();
      return;
    }
    this.#endTry();
    this.#plan.state.record(this.#tx.endpoint?.key ?? '', response.status);
    if (this.#takesRetry(outcomeOfResponse(response))) {
      response.body.cancel();
      this.#sendLater(answered(response));
      return;
    }
    this.#isOver = true;
    this.#tx.body?.settle();
    this.#listener.onResponse(response);
  }

  onFailed(error: HttpError): void {
    if (this.#isOver) {
      return;
    }
    this.#endTry();
    const outcome = outcomeOfError(error);
    if (outcome !== undefined && outcome.kind !== 'overflow') {
      this.#plan.state.record(this.#tx.endpoint?.key ?? '', undefined);
    }
    const isGivenUp = error.code === 'HTTP_CONNECT_FAILURE' && !error.retryable;
    if (outcome !== undefined && !isGivenUp && this.#takesRetry(outcome)) {
      this.#sendLater(error);
      return;
    }
    this.#isOver = true;
    this.#listener.onForwardFailed(error);
  }

  #takesRetry(outcome: TryOutcome): boolean {
    const { state, retry } = this.#plan;
    this.#holdsRetry = takesRetry(this.#tx, outcome, {
      state,
      retry,
      remainingMs: this.#remainingMs(),
    });
    return this.#holdsRetry;
  }

  /** `before`: what came of the last try, and the answer where the body cannot be sent again by then. */
  #sendLater(before: HttpError): void {
    const tx = this.#tx;
    const { timers, random } = this.#context;
    tx.phase = 'retry';
    const waitMs = backoffMs(this.#plan.retry, tx.attempts, random);
    this.#stopTimer = timers.after(waitMs, () => {
      this.#endTry();
      if (tx.body?.isReplayable === false) {
        this.#isOver = true;
        this.#listener.onForwardFailed(before);
      } else {
        this.#send();
      }
    });
  }

  /** Never inside a call of a pool or of the exchange. */
  #send(): void {
    const tx = this.#tx;
    tx.attempts += 1;
    try {
      this.#sendTo();
    } catch (error) {
      this.#isOver = true;
      this.#listener.onForwardFailed(toHttpError(error));
    }
  }

  #sendTo(): void {
    const tx = this.#tx;
    const { http1, http2, timers } = this.#context;
    const { head, retry, state, isHttp2 } = this.#plan;
    const endpoint = pickEndpoint(tx, this.#plan, this.#tried);
    if (retry.ignorePreviousHosts && retry.attempts > 0) {
      this.#tried ??= new Set();
      this.#tried.add(endpoint.key);
    }
    const { headers } = head;
    headers.set('x-envoy-attempt-count', String(tx.attempts));
    const tryMs = tryTimeoutMs(retry, this.#remainingMs());
    if (tryMs !== undefined) {
      this.#stopTimer = timers.after(tryMs, () => this.#onTryTimeout());
    }
    tx.exchange.sendContinue();
    const body = tx.body?.open();
    if (tx.body !== undefined && body === undefined) {
      // Without it the request would look whole.
      throw new HttpError('HTTP_CLIENT_GONE', 'the body is not there any more', {
        side: 'downstream',
      });
    }
    const request = {
      method: head.method,
      scheme: head.scheme,
      authority: head.authority,
      path: head.path,
      headers,
      body,
      contentLength: tx.exchange.head.contentLength,
    };
    const pool = isHttp2 ? http2 : http1;
    this.#try = pool.request(linkTo(tx.plane, state, endpoint), request, this);
    // A body that is read within the call may show that its client breaks the rules, or is gone.
    if (this.#stopped !== undefined) {
      this.#try.abort(this.#stopped);
    }
  }

  #onTryTimeout(): void {
    const error = new HttpError('HTTP_TRY_TIMEOUT', 'no answer in time', { side: 'upstream' });
    this.#stopTimer = undefined;
    this.#try?.abort(error);
    this.onFailed(error);
  }

  /** What was waited for is there, or nobody waits any more. */
  #endTry(): void {
    this.#stopTimer?.();
    this.#stopTimer = undefined;
    if (this.#holdsRetry) {
      this.#holdsRetry = false;
      this.#plan.state.breaker.release('retries');
    }
  }

  #remainingMs(): number | undefined {
    return this.#deadline === undefined ? undefined : this.#deadline - this.#context.clock.now();
  }

  /** The route's timeout runs from the end of the request, over all tries and the whole response. */
  #startDeadline(timeoutMs: number): void {
    const tx = this.#tx;
    const { clock, timers } = this.#context;
    let isOver = false;
    let stop: CancelTimer | undefined;
    tx.onOver(() => {
      isOver = true;
      stop?.();
    });
    const begin = (): void => {
      if (isOver) {
        return;
      }
      this.#deadline = clock.now() + timeoutMs;
      const message = `no complete answer within ${timeoutMs} ms`;
      stop = timers.after(timeoutMs, () =>
        tx.abort(new HttpError('HTTP_TIMEOUT', message, { side: 'upstream' })),
      );
    };
    if (tx.body === undefined) {
      begin();
    } else {
      tx.body.whenWhole(begin);
    }
  }
}

/** For a client that cannot have the answer itself, because that was given up for another try. */
function answered({ status }: TryResponse): HttpError {
  const message = `the server answered ${status}, and the body cannot be sent again`;
  return new HttpError('HTTP_UPSTREAM_RESET', message, {
    side: 'upstream',
    // A gRPC server says in a field of 200 that it failed.
    status: status < 400 ? 503 : status,
    flag: '-',
  });
}
