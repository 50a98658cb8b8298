/**
 * One request through the phases: from its head to its record.
 *
 * Rule: it ends once, by an answer that is whole, an answer that is cut, or a client that is gone. Nothing that a callback
 * throws gets out of here.
 */
import type { MeshError, RosterMember } from '@ambit/core';
import { clientGone, HttpError, toHttpError } from './errors.ts';
import { errorReply, type Reply } from './local-reply.ts';
import type { Exchange, ExchangeListener } from './message.ts';
import { isForbiddenNow } from './phases/authorise.ts';
import { Forwarding, type ForwardListener } from './phases/forward.ts';
import { flagCut, logRequest } from './phases/log.ts';
import { refreshCluster } from './phases/plan.ts';
import { ResponseRelay, sendReply } from './phases/respond.ts';
import { REQUEST_PHASES } from './phases/table.ts';
import { Upgrading } from './phases/upgrade.ts';
import type { MeshPlane } from './plane.ts';
import { type AbortListener, type EngineContext, Transaction } from './transaction.ts';
import type { TryResponse } from './upstream/try.ts';

export interface RunHost {
  /** The connection became something else, which lasts as long as the run. */
  onSwitched(run: RequestRun): void;
  onOver(run: RequestRun): void;
}

export class RequestRun implements ExchangeListener, ForwardListener, AbortListener, RosterMember {
  rosterSlot = -1;
  readonly #tx: Transaction;
  readonly #context: EngineContext;
  readonly #host: RunHost;
  #forwarding: Forwarding | Upgrading | undefined;
  #relay: ResponseRelay | undefined;
  #isSwitched = false;
  #isOver = false;

  constructor(
    exchange: Exchange,
    plane: MeshPlane,
    options: { readonly context: EngineContext; readonly host: RunHost },
  ) {
    const { context, host } = options;
    this.#context = context;
    this.#host = host;
    this.#tx = new Transaction(exchange, plane, context);
  }

  start(): void {
    const { counters } = this.#context;
    counters.requests += 1;
    counters.active += 1;
    this.#tx.worker = this;
    this.#tx.exchange.listen(this);
    this.#pass(0);
  }

  /** Evaluates policy again, and the settings of its cluster; true: it is forbidden now and was cut. */
  recheck(): boolean {
    if (this.#isOver) {
      return false;
    }
    if (isForbiddenNow(this.#tx)) {
      return true;
    }
    if (this.#relay === undefined) {
      refreshCluster(this.#tx, this.#context);
    }
    return false;
  }

  abort(reason: HttpError): void {
    this.#tx.abort(reason);
  }

  onAbort(reason: HttpError): void {
    this.#guard(() => this.#stop(reason));
  }

  onDrain(): void {
    this.#guard(() => this.#relay?.onDrain());
  }

  onGone(error: MeshError): void {
    this.abort(clientGone(error));
  }

  onResponse(response: TryResponse): void {
    if (this.#isOver) {
      response.body.cancel();
      return;
    }
    const tx = this.#tx;
    tx.phase = 'respond';
    const relay = new ResponseRelay(tx, (failure) => this.#onRelayed(failure));
    this.#relay = relay;
    try {
      relay.start(response, this.#context);
    } catch (error) {
      this.#relay = undefined;
      response.body.cancel();
      this.#refuse(unwritable(error));
    }
  }

  onForwardFailed(error: HttpError): void {
    this.#refuse(error);
  }

  /** Bytes go both ways, until `onUpgradeOver`. */
  onSwitched(): void {
    this.#isSwitched = true;
    this.#host.onSwitched(this);
  }

  onUpgradeOver(): void {
    this.#finish();
  }

  /** Goes through the phases from the one with that index. */
  #pass(from: number): void {
    const tx = this.#tx;
    try {
      for (let index = from; index < REQUEST_PHASES.length && !this.#isOver; index += 1) {
        const phase = REQUEST_PHASES[index];
        if (phase === undefined) {
          break;
        }
        tx.phase = phase.name;
        const reply = phase.run(tx, this.#context);
        if (reply instanceof Promise) {
          this.#passLater(reply, index + 1);
          return;
        }
        if (reply !== undefined) {
          this.#reply(reply);
          return;
        }
      }
      if (!this.#isOver) {
        this.#forward();
      }
    } catch (error) {
      this.#refuse(error);
    }
  }

  #passLater(work: Promise<Reply | undefined>, next: number): void {
    work
      .then((reply) => {
        if (reply === undefined) {
          this.#pass(next);
        } else {
          this.#reply(reply);
        }
      })
      .catch((error: unknown) => this.#refuse(error));
  }

  #forward(): void {
    const tx = this.#tx;
    tx.phase = 'forward';
    if (tx.exchange.head.upgrade === 'websocket') {
      this.#forwarding = new Upgrading(tx, this.#context, this);
    } else {
      this.#forwarding = new Forwarding(tx, this.#context, this);
    }
    this.#forwarding.start();
  }

  /** Somebody wants the request to be over, whatever is done for it now. */
  #stop(reason: HttpError): void {
    // What was switched to hears it by the signal.
    if (this.#isOver || this.#isSwitched) {
      return;
    }
    this.#forwarding?.stop(reason);
    const relay = this.#relay;
    if (relay === undefined) {
      this.#refuse(reason);
      return;
    }
    this.#relay = undefined;
    relay.stop();
    this.#tx.exchange.reset(reason);
    this.#onRelayed(reason);
  }

  #onRelayed(failure: HttpError | undefined): void {
    if (failure !== undefined) {
      flagCut(this.#tx, failure);
    }
    this.#finish();
  }

  #refuse(caught: unknown): void {
    if (this.#isOver) {
      return;
    }
    const tx = this.#tx;
    const error = tx.abortReason ?? toHttpError(caught);
    tx.error = error;
    tx.flag(error.answer.flag);
    if (error.code === 'HTTP_CLIENT_GONE') {
      tx.exchange.reset(error);
      this.#finish();
      return;
    }
    this.#reply(errorReply(error.answer, tx.isGrpc));
  }

  #reply(reply: Reply): void {
    if (this.#isOver) {
      return;
    }
    try {
      sendReply(this.#tx, reply, this.#context);
    } catch (error) {
      this.#tx.error ??= toHttpError(error);
      this.#tx.exchange.reset();
    }
    this.#finish();
  }

  #finish(): void {
    if (this.#isOver) {
      return;
    }
    this.#isOver = true;
    const tx = this.#tx;
    tx.worker = undefined;
    tx.finish();
    // What of the request is still on its way is of no use any more.
    this.#forwarding?.stop(OVER);
    this.#context.counters.active -= 1;
    try {
      logRequest(tx, this.#context);
    } catch (error) {
      this.#broke(error);
    }
    this.#host.onOver(this);
  }

  #guard(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#broke(error);
    }
  }

  #broke(error: unknown): void {
    this.#tx.error ??= toHttpError(error);
    this.#tx.exchange.reset();
    this.#finish();
  }
}

const OVER = new HttpError('HTTP_CLIENT_GONE', 'the request is answered', { side: 'local' });

/** Fields that cannot be sent on came from the upstream, or from a rule. */
function unwritable(error: unknown): HttpError {
  const message = error instanceof Error ? error.message : String(error);
  return new HttpError('HTTP_UPSTREAM_RESET', `protocol error: ${message.slice(0, 160)}`, {
    side: 'upstream',
    status: 502,
    flag: 'UPE',
    cause: error,
  });
}
