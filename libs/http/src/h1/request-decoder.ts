/**
 * Requests out of a client's bytes, one at a time (RFC 9112, server role).
 *
 * A request is `head`, any `data`, `end`. After `end` the bytes behind it wait until `next` is called: requests that a client
 * pipelines are in work one after the other. After CONNECT, or a request for an upgrade that is granted, `takeRest`
 * hands over what came behind instead.
 */
import { type H1DecoderOptions, MessageDecoder } from './decoder.ts';
import type { H1RequestEvent, H1RequestHead } from './message.ts';
import { type ReadFields, readFields } from './parse/fields.ts';
import { requestFraming } from './parse/framing.ts';
import { connectionOptions, keepsAlive, takesTrailers, upgradeOf } from './parse/hop.ts';
import { readTarget } from './parse/target.ts';
import { RequestLineScanner } from './scan/request-line.ts';
import type { Section } from './scan/section.ts';

type State = 'head' | 'body' | 'answer' | 'detached';

export class RequestDecoder extends MessageDecoder<H1RequestEvent> {
  readonly #line: RequestLineScanner;
  protected override readonly section: Section;
  #state: State = 'head';
  #head: H1RequestHead | undefined;

  constructor(options: H1DecoderOptions = {}) {
    super('downstream', options);
    this.#line = new RequestLineScanner(this.refuse);
    this.section = this.headSection(this.#line, 'H1_TARGET_TOO_LONG');
  }

  /** Nothing of a request has come that is not over: the connection may be closed without harm. */
  get isIdle(): boolean {
    return this.#state === 'head' && this.queue.size === 0 && !this.#hasBegun();
  }

  /**
   * After `end`: whether another request may be read. Not where the client will send none, and not where bytes came
   * behind a request for another protocol: nobody knows which of the two they belong to.
   */
  get canContinue(): boolean {
    const head = this.#head;
    return (
      this.#state === 'answer' &&
      head !== undefined &&
      head.keepAlive &&
      head.method !== 'CONNECT' &&
      (head.upgrade === undefined || this.queue.size === 0)
    );
  }

  /** The request was answered; reads the next one. Only where `canContinue`. */
  next(): void {
    if (!this.canContinue) {
      throw new Error('this connection carries no further request');
    }
    this.#state = 'head';
    this.#head = undefined;
  }

  protected override step(): H1RequestEvent | undefined {
    switch (this.#state) {
      case 'head':
        return this.#readHead();
      case 'body':
        return this.#readBody();
      case 'answer':
      case 'detached':
        return undefined;
    }
  }

  protected override detach(): void {
    this.#state = 'detached';
  }

  #hasBegun(): boolean {
    return this.section.hasBegun && this.#line.hasBegun;
  }

  #readHead(): H1RequestEvent | undefined {
    if (!this.section.read(this.queue)) {
      if (this.hasEnded && this.#hasBegun()) {
        throw this.refuse('H1_TRUNCATED');
      }
      return undefined;
    }
    const head = this.#parseHead(this.section.takeText());
    this.body.begin(head.body);
    this.#head = head;
    this.#state = 'body';
    return { kind: 'head', head };
  }

  #readBody(): H1RequestEvent | undefined {
    let event = this.body.read(this.queue);
    if (event === undefined && this.hasEnded) {
      event = this.body.end();
    }
    if (event?.kind === 'end') {
      this.#state = 'answer';
    }
    return event;
  }

  #parseHead(text: string): H1RequestHead {
    const { methodAt, methodEnd, targetEnd, version } = this.#line;
    const method = text.slice(methodAt, methodEnd);
    const target = text.slice(methodEnd + 1, targetEnd);
    const fields = readFields(text, this.fields, { hostApart: true, refuse: this.refuse });
    // Framing first: what cannot be delimited is not looked at further.
    const body = requestFraming(method, fields, version, this.refuse);
    const { form, path, authority } = readTarget({ method, target, version }, fields, this.refuse);
    const connection = connectionOptions(fields.connection, this.refuse);
    const hasBody = body.kind === 'chunked' || (body.kind === 'length' && body.bytes > 0);
    return {
      version,
      method,
      target,
      form,
      path,
      authority,
      fields: fields.lines,
      body,
      connection,
      // RFC 9112 §9.3: a proxy keeps no connection with a client of HTTP/1.0.
      keepAlive: version === '1.1' && keepsAlive(version, connection),
      takesTrailers: takesTrailers(fields.te),
      upgrade: hasBody ? undefined : upgradeOf(fields, version, connection),
      expectsContinue: this.#expectsContinue(fields, version === '1.1' && hasBody),
    };
  }

  /** RFC 9110 §10.1.1: of HTTP/1.0 it is ignored; without a body there is nothing to wait for. */
  #expectsContinue({ expect }: ReadFields, counts: boolean): boolean {
    if (expect === undefined) {
      return false;
    }
    if (expect.toLowerCase() !== '100-continue') {
      throw this.refuse('H1_EXPECT_UNSUPPORTED', expect);
    }
    return counts;
  }
}
