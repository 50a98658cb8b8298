/**
 * Responses out of a server's bytes, each for the request that was sent (RFC 9112, client role).
 *
 * `begin` says which request the next response answers, because its method decides whether there is a body. Bytes that come
 * while nothing was asked are refused: a server that talks first could answer the next request with them.
 */
import { type H1DecoderOptions, MessageDecoder } from './decoder.ts';
import type { H1ResponseEvent, H1ResponseHead } from './message.ts';
import { type ReadFields, readFields } from './parse/fields.ts';
import { responseFraming } from './parse/framing.ts';
import { connectionOptions, keepsAlive, takesTrailers, upgradeOf } from './parse/hop.ts';
import { listElements } from './parse/list.ts';
import type { Section } from './scan/section.ts';
import { StatusLineScanner } from './scan/status-line.ts';

export interface AnsweredRequest {
  readonly method: string;
  /** The protocols that were asked for in Upgrade; 101 is refused without. */
  readonly upgrade?: string | undefined;
}

type State = 'idle' | 'head' | 'body' | 'detached';

export class ResponseDecoder extends MessageDecoder<H1ResponseEvent> {
  readonly #line: StatusLineScanner;
  protected override readonly section: Section;
  #state: State = 'idle';
  #request: AnsweredRequest = { method: 'GET' };
  #head: H1ResponseHead | undefined;
  #interims = 0;

  constructor(options: H1DecoderOptions = {}) {
    super('upstream', options);
    this.#line = new StatusLineScanner(this.refuse);
    this.section = this.headSection(this.#line, 'H1_START_LINE_INVALID');
  }

  /** A byte of the response has come, or a response before it did. Until then the server may not have seen the request. */
  get hasBegun(): boolean {
    const isRefused = this.error !== undefined && this.error.code !== 'H1_TRUNCATED';
    return isRefused || this.section.hasBegun || this.#state === 'body' || this.#interims > 0;
  }

  /** Something of a response has come, and its head is not whole. */
  get isReadingHead(): boolean {
    return this.#state === 'head' && (this.section.hasBegun || this.#interims > 0);
  }

  /** Between responses, on a connection that carries another one. */
  get isReusable(): boolean {
    return (
      this.#state === 'idle' &&
      !this.hasEnded &&
      this.error === undefined &&
      this.queue.size === 0 &&
      (this.#head?.keepAlive ?? true)
    );
  }

  /** After `end`: the connection became something else; `takeRest` has what came behind. */
  get isSwitched(): boolean {
    const head = this.#head;
    return (
      head !== undefined &&
      (head.status === 101 || (this.#request.method === 'CONNECT' && is2xx(head.status)))
    );
  }

  /** A request was sent, or is about to be. Only where `isReusable`; bytes that came before it are refused. Throws. */
  begin(request: AnsweredRequest): void {
    if (this.#state !== 'idle') {
      throw new Error('the response before is not over');
    }
    if (this.queue.size > 0) {
      throw this.fail(this.refuse('H1_UNSOLICITED'));
    }
    this.#request = request;
    this.#head = undefined;
    this.#interims = 0;
    this.#state = 'head';
  }

  protected override step(): H1ResponseEvent | undefined {
    switch (this.#state) {
      case 'idle':
        if (this.queue.size > 0) {
          throw this.refuse('H1_UNSOLICITED');
        }
        return undefined;
      case 'head':
        return this.#readHead();
      case 'body':
        return this.#readBody();
      case 'detached':
        return undefined;
    }
  }

  protected override detach(): void {
    this.#state = 'detached';
  }

  #readHead(): H1ResponseEvent | undefined {
    if (!this.section.read(this.queue)) {
      if (this.hasEnded) {
        throw this.refuse('H1_TRUNCATED');
      }
      return undefined;
    }
    const head = this.#parseHead(this.section.takeText());
    if (head.status < 200 && head.status !== 101) {
      this.#interims += 1;
      if (this.#interims > this.limits.interimMax) {
        throw this.refuse('H1_INTERIM_TOO_MANY');
      }
      return { kind: 'interim', head };
    }
    this.body.begin(head.body);
    this.#head = head;
    this.#state = 'body';
    return { kind: 'head', head };
  }

  #readBody(): H1ResponseEvent | undefined {
    let event = this.body.read(this.queue);
    if (event === undefined && this.hasEnded) {
      event = this.body.end();
    }
    if (event?.kind === 'end') {
      this.#state = this.isSwitched ? 'detached' : 'idle';
    }
    return event;
  }

  #parseHead(text: string): H1ResponseHead {
    const { status, version } = this.#line;
    const fields = readFields(text, this.fields, { hostApart: false, refuse: this.refuse });
    const { method } = this.#request;
    const body = responseFraming({ status, method, version }, fields, this.refuse);
    const connection = connectionOptions(fields.connection, this.refuse);
    const upgrade = upgradeOf(fields, version, connection);
    if (status === 101) {
      this.#requireAsked(upgrade);
    }
    return {
      version,
      status,
      fields: fields.lines,
      body,
      contentLength: body.kind === 'length' ? body.bytes : announced(fields),
      connection,
      keepAlive: body.kind !== 'until-close' && keepsAlive(version, connection),
      takesTrailers: takesTrailers(fields.te),
      upgrade,
    };
  }

  /** RFC 9110 §7.8: a server switches only to what was asked for, and says to what. */
  #requireAsked(upgrade: string | undefined): void {
    const asked = listElements(this.#request.upgrade?.toLowerCase() ?? '');
    if (upgrade === undefined || !asked.includes(upgrade)) {
      throw this.refuse('H1_SWITCH_UNEXPECTED', upgrade);
    }
  }
}

/** Also where there is no body (HEAD, 304). It was checked with the framing. */
function announced({ contentLengths, contentLength }: ReadFields): number | undefined {
  return contentLengths === 1 ? Number(contentLength) : undefined;
}

function is2xx(status: number): boolean {
  return status >= 200 && status < 300;
}
