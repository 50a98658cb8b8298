/** One HTTP request: a review is read, validated and answered; anything else is an HTTP error. */
import type { IncomingMessage, ServerResponse } from 'node:http';

import type { Clock } from '@ambit/core';
import type { Logger } from '@ambit/telemetry';

import { formatAnswer, type ReviewHead, reviewHead, type Verdict } from './admission-review.ts';
import { BodyReader } from './read-body.ts';
import type { AdmissionValidator, ValidationOutcome } from './validator.ts';
import type { WebhookMetrics } from './webhook-metrics.ts';

export const WEBHOOK_PATH = '/validate';
/** Reviews that are read or validated at a time. */
const REVIEWS_MAX = 300;

export interface ReviewHandlerOptions {
  readonly validator: AdmissionValidator;
  readonly clock: Clock;
  readonly log: Logger;
}

export class ReviewHandler {
  readonly #options: ReviewHandlerOptions;
  readonly #metrics: WebhookMetrics;
  readonly #bodies = new BodyReader();
  #running = 0;
  #whenIdle = Promise.withResolvers<void>();

  constructor(options: ReviewHandlerOptions, metrics: WebhookMetrics) {
    this.#options = options;
    this.#metrics = metrics;
  }

  /** Never rejects. */
  async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { clock, log } = this.#options;
    // Whoever goes away while being answered.
    response.on('error', () => undefined);
    this.#running += 1;
    const startedAt = clock.now();
    try {
      await this.#answer(request, response);
    } catch (error) {
      log.error('a review could not be answered', { error });
      this.#fail(response, 500, 'internal error');
    } finally {
      this.#metrics.seconds((clock.now() - startedAt) / 1000);
      this.#running -= 1;
      if (this.#running === 0) {
        this.#whenIdle.resolve();
        this.#whenIdle = Promise.withResolvers<void>();
      }
    }
  }

  async idle(): Promise<void> {
    if (this.#running > 0) await this.#whenIdle.promise;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const wrong = this.#wrongWith(request);
    if (wrong !== undefined) {
      this.#fail(response, ...wrong);
      return;
    }
    const read = await this.#bodies.read(request);
    if (read.kind === 'aborted') response.destroy();
    else if (read.kind !== 'ok') this.#fail(response, ...UNREAD[read.kind]);
    else {
      const head = reviewHead(read.body);
      this.#send(response, await this.#options.validator.validate(read.body), head);
    }
  }

  #wrongWith(request: IncomingMessage): readonly [status: number, message: string] | undefined {
    const [path = ''] = (request.url ?? '').split('?');
    if (path !== WEBHOOK_PATH) return [404, 'not found'];
    if (request.method !== 'POST') return [405, 'POST an AdmissionReview'];
    if (!/^application\/json\b/.test(request.headers['content-type'] ?? '')) {
      return [415, 'the content type must be application/json'];
    }
    return this.#running > REVIEWS_MAX ? [503, 'too many reviews'] : undefined;
  }

  #send(response: ServerResponse, outcome: ValidationOutcome, head: ReviewHead): void {
    if (outcome.kind === 'unreadable') {
      this.#fail(response, 400, outcome.message);
      return;
    }
    const verdict = outcome.kind === 'verdict' ? outcome.verdict : VERDICTS[outcome.kind];
    const uid = outcome.kind === 'verdict' ? outcome.facts.uid : head.uid;
    this.#note(outcome, verdict, head);
    if (uid === '') {
      this.#fail(response, 503, verdict.causes[0]?.message ?? 'busy');
      return;
    }
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(formatAnswer(uid, verdict));
  }

  #note(outcome: ValidationOutcome, verdict: Verdict, head: ReviewHead): void {
    const facts =
      outcome.kind === 'verdict'
        ? outcome.facts
        : { ...UNKNOWN_FACTS, uid: head.uid, namespace: head.namespace };
    if (outcome.kind === 'busy') this.#metrics.unchecked();
    else if (verdict.allowed) this.#metrics.passed(facts);
    else this.#metrics.failed(facts, verdict.reason);
    const { log } = this.#options;
    const level = outcome.kind === 'exhausted' ? 'warn' : verdict.allowed ? 'debug' : 'info';
    if (!log.isEnabled(level)) return;
    log[level]('admission', {
      ...facts,
      allowed: verdict.allowed,
      reason: verdict.reason,
      warnings: verdict.warnings.length,
      ...(verdict.causes[0] === undefined ? {} : { cause: verdict.causes[0].message }),
    });
  }

  /** Closes the connection: what is left of the body is not read. */
  #fail(response: ServerResponse, status: number, message: string): void {
    this.#metrics.httpError(status);
    if (response.headersSent) {
      response.destroy();
      return;
    }
    response.writeHead(status, { 'content-type': 'text/plain', connection: 'close' });
    response.end(`${message}\n`);
  }
}

const UNREAD: Readonly<Record<'overloaded' | 'too-large', readonly [number, string]>> = {
  'too-large': [413, 'the review is too large'],
  overloaded: [503, 'too much is being read'],
};

const UNKNOWN_FACTS = {
  uid: '',
  operation: '',
  dryRun: false,
  namespace: '',
  name: '',
  group: '',
  version: '',
  resource: '',
  user: '',
} as const;

/** Only the object that is too much for one is refused; what had no turn is validated by the controller. */
const VERDICTS: Readonly<Record<'busy' | 'exhausted', Verdict>> = {
  busy: {
    allowed: true,
    reason: 'not-checked',
    causes: [],
    warnings: ['not validated yet, too many objects at a time; its condition Accepted will say'],
  },
  exhausted: {
    allowed: false,
    reason: 'deadline_exceeded',
    causes: [
      {
        field: '',
        message:
          'the object takes more time or memory to validate than one object may. Fix: split it, or simplify its regular expressions.',
      },
    ],
    warnings: [],
  },
};
