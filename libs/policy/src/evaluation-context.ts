/** One evaluation's input, with what several checks need of it: made when the first one asks, and once. */
import type { ConnectionAttributes, PolicyInput, RequestAttributes } from './types.ts';

export class EvaluationContext {
  readonly connection: ConnectionAttributes;
  readonly request: RequestAttributes | undefined;
  #principal: string | undefined;
  #host: string | undefined;

  constructor({ connection, request }: PolicyInput) {
    this.connection = connection;
    this.request = request;
  }

  /** `td/ns/N/sa/S`; empty without identity. */
  get principal(): string {
    if (this.#principal === undefined) {
      const { source } = this.connection;
      this.#principal =
        source === undefined
          ? ''
          : `${source.trustDomain}/ns/${source.namespace}/sa/${source.serviceAccount}`;
    }
    return this.#principal;
  }

  /** Lower case. */
  get host(): string {
    this.#host ??= this.request?.host.toLowerCase() ?? '';
    return this.#host;
  }
}
