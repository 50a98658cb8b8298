/** A request for an upgrade as an exchange, for the case that it is refused: the answer ends the connection. */
import type { Duplex } from 'node:stream';
import type { HeaderList } from '../headers.ts';
import type { Exchange, RequestHead, ResponseBody, ResponseHead, SendResult } from '../message.ts';
import { formatHead } from '../phases/upgrade.ts';
import type { UpgradeRequest } from './http1.ts';

export class UpgradeExchange implements Exchange {
  readonly head: RequestHead;
  readonly body = undefined;
  readonly gone: AbortSignal;
  readonly #socket: Duplex;

  constructor({ head, socket }: UpgradeRequest) {
    this.head = head;
    this.#socket = socket;
    const gone = new AbortController();
    this.gone = gone.signal;
    socket.once('close', () => gone.abort());
  }

  readonly requestTrailers = (): HeaderList | undefined => undefined;

  sendContinue(): void {
    // An upgrade has no body to wait for.
  }

  respond(head: ResponseHead, body: ResponseBody): Promise<SendResult> {
    const headers = head.headers.clone();
    headers.set('connection', 'close');
    this.#socket.write(formatHead(head.status, headers));
    this.#socket.end(body.kind === 'bytes' ? body.bytes : undefined);
    return Promise.resolve('complete');
  }

  reset(): void {
    this.#socket.destroy();
  }
}
