/** Phase `forward` of a WebSocket: the same decisions as for any request, then bytes both ways. */
import { type ByteConn, type CopyObserver, copyBoth } from '@ambit/proxy';
import { HttpError } from '../errors.ts';
import type { HeaderList } from '../headers.ts';
import type { CancelTimer } from '../timers.ts';
import type { EngineContext, Transaction } from '../transaction.ts';
import { linkTo } from '../upstream/link.ts';
import type { Try, TryResponse, UpgradeSink } from '../upstream/try.ts';
import type { ForwardListener } from './forward.ts';
import { type ForwardPlan, pickEndpoint, planForward } from './plan.ts';

const PROTOCOL = 'websocket';
/** From the request to the server's answer, when the route says nothing. */
const HANDSHAKE_TIMEOUT_MS = 15_000;

export interface UpgradeListener extends ForwardListener {
  /** The connection is a pair of tunnels from now on. */
  onSwitched(): void;
  onUpgradeOver(): void;
}

export class Upgrading implements UpgradeSink {
  readonly #tx: Transaction;
  readonly #context: EngineContext;
  readonly #listener: UpgradeListener;
  readonly #plan: ForwardPlan;
  #try: Try | undefined;
  #stopTimer: CancelTimer | undefined;
  #isOver = false;

  /** Throws an HttpError. */
  constructor(tx: Transaction, context: EngineContext, listener: UpgradeListener) {
    this.#tx = tx;
    this.#context = context;
    this.#listener = listener;
    this.#plan = planForward(tx, context);
  }

  /** Throws an HttpError. */
  start(): void {
    const tx = this.#tx;
    const { head, state, timeoutMs } = this.#plan;
    const endpoint = pickEndpoint(tx, this.#plan);
    tx.attempts = 1;
    head.headers.set('x-envoy-attempt-count', '1');
    const limitMs = timeoutMs ?? HANDSHAKE_TIMEOUT_MS;
    const message = `no answer within ${limitMs} ms`;
    this.#stopTimer = this.#context.timers.after(limitMs, () =>
      tx.abort(new HttpError('HTTP_TIMEOUT', message, { side: 'upstream' })),
    );
    const request = {
      method: head.method,
      scheme: head.scheme,
      authority: head.authority,
      path: head.path,
      headers: head.headers,
      protocol: PROTOCOL,
    };
    this.#try = this.#context.http1.upgrade(linkTo(tx.plane, state, endpoint), request, this);
  }

  stop(reason: HttpError): void {
    this.#isOver = true;
    this.#stopTimer?.();
    this.#try?.abort(reason);
  }

  onInterim(status: number, headers: HeaderList): void {
    if (!this.#isOver) {
      this.#tx.exchange.sendInterim(status, headers.lines);
    }
  }

  /** The server does not want to switch: its answer is passed on, and the client's connection ends with it. */
  onResponse(response: TryResponse): void {
    if (this.#isOver) {
      response.body.cancel();
      return;
    }
    this.#stopTimer?.();
    this.#listener.onResponse(response);
  }

  onFailed(error: HttpError): void {
    this.#stopTimer?.();
    if (!this.#isOver) {
      this.#listener.onForwardFailed(error);
    }
  }

  onSwitched(_status: number, headers: HeaderList, conn: ByteConn): void {
    this.#stopTimer?.();
    if (this.#isOver) {
      conn.destroy();
      return;
    }
    const client = this.#switchClient(headers);
    if (client === undefined) {
      conn.destroy();
      return;
    }
    const tx = this.#tx;
    tx.phase = 'respond';
    tx.status = 101;
    this.#listener.onSwitched();
    const observer: CopyObserver = {
      onDone: ({ bytesFromA, bytesFromB, error }) => {
        tx.bytesReceived = bytesFromA;
        tx.bytesSent = bytesFromB;
        if (error instanceof HttpError) {
          tx.error ??= error;
          tx.flag(error.answer.flag);
        }
        this.#listener.onUpgradeOver();
      },
    };
    copyBoth(client, conn, observer, { signal: tx.signal, clock: this.#context.clock });
  }

  /** Undefined: the request was refused, or its client is gone. */
  #switchClient(headers: HeaderList): ByteConn | undefined {
    try {
      return this.#tx.exchange.switchTo(PROTOCOL, headers.lines);
    } catch (error) {
      const message = `protocol error: ${error instanceof Error ? error.message : String(error)}`;
      this.#listener.onForwardFailed(
        new HttpError('HTTP_UPSTREAM_RESET', message.slice(0, 200), {
          side: 'upstream',
          status: 502,
          flag: 'UPE',
          cause: error,
        }),
      );
      return undefined;
    }
  }
}
