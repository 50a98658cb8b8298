/** Both sides of a conversation (conversation.ts) held by sessions of ours. */
import { ERROR } from '../frames/protocol.ts';
import type { Fields } from '../message.ts';
import type { ClientSession } from '../session/client-session.ts';
import type { ServerStream } from '../session/server-stream.ts';
import {
  type AnswerPlan,
  Digest,
  decodeAnswer,
  ownFields,
  PLAN_FIELD,
  type Plan,
  piecesOf,
  type Result,
  SAW_FIELD,
} from './conversation.ts';

function fieldOf(fields: Fields, name: string): string {
  const at = fields.findIndex((text, index) => index % 2 === 0 && text === name);
  return at === -1 ? '' : (fields[at + 1] ?? '');
}

interface Writable {
  write(chunk: Uint8Array): boolean;
}

/** Writes as the windows allow; `onDrain` goes on. */
class Sender {
  readonly #pieces: readonly Uint8Array[];
  readonly #then: () => void;
  #at = 0;
  #isOver = false;

  constructor(chunks: readonly number[], then: () => void) {
    this.#pieces = piecesOf(chunks);
    this.#then = then;
  }

  sendTo(stream: Writable): void {
    for (;;) {
      const piece = this.#pieces[this.#at];
      if (piece === undefined) {
        break;
      }
      this.#at += 1;
      if (piece.length > 0 && !stream.write(piece)) {
        return;
      }
    }
    if (!this.#isOver) {
      this.#isOver = true;
      this.#then();
    }
  }
}

/** Answers as the request says. */
export function answerPlanned(stream: ServerStream): void {
  const { request } = stream;
  const plan = decodeAnswer(fieldOf(request.fields, PLAN_FIELD));
  const digest = new Digest();
  const saw = (): string =>
    [
      request.method,
      request.path ?? '',
      request.authority,
      ownFields(request.fields),
      digest.toString(),
      ownFields(stream.trailers ?? []),
      // A value has no blank at its end.
      '.',
    ].join(' ');
  const finish = (): void => {
    if (plan.How === 'reset') {
      stream.reset(ERROR.INTERNAL_ERROR);
      return;
    }
    const trailers = plan.How === 'early' ? [SAW_FIELD, saw()] : [];
    const all = [...trailers, ...plan.Trailers.flat()];
    if (all.length === 0) {
      stream.end();
    } else {
      stream.sendTrailers(all);
    }
  };
  // An early answer ends when the request has, because its trailers tell of it.
  let [hasSent, hasHeard] = [false, false];
  const sender = new Sender(plan.Chunks, () => {
    hasSent = true;
    if (plan.How !== 'early' || hasHeard) {
      finish();
    }
  });
  const begin = (): void => {
    respond(stream, plan, saw);
    sender.sendTo(stream);
  };
  stream.start({
    onData: (chunk) => digest.add(chunk),
    onEnd: () => {
      hasHeard = true;
      if (plan.How !== 'early') {
        begin();
      } else if (hasSent) {
        finish();
      }
    },
    onDrain: () => sender.sendTo(stream),
    onClose: () => undefined,
  });
  if (plan.How === 'early') {
    begin();
  }
}

function respond(stream: ServerStream, plan: AnswerPlan, saw: () => string): void {
  for (let count = 0; count < plan.Interims; count += 1) {
    stream.sendInformational({ status: 103, fields: ['link', '</a>'] });
  }
  const seen = plan.How === 'early' ? [] : [SAW_FIELD, saw()];
  stream.respond({ status: plan.Status, fields: [...seen, ...plan.Fields.flat()] });
}

/** Asks as the plan says. Always resolves. */
export function askPlanned(session: ClientSession, plan: Plan): Promise<Result> {
  const { promise, resolve } = Promise.withResolvers<Result>();
  const isTunnel = plan.Method === 'CONNECT';
  const digest = new Digest();
  let [status, interims, failed] = [0, 0, false];
  let fields: Fields = [];
  const length = plan.Chunks.reduce((all, one) => all + one, 0);
  const hasBody = plan.Chunks.length > 0;
  const head = {
    method: plan.Method,
    scheme: isTunnel ? undefined : 'http',
    authority: plan.Authority,
    path: isTunnel ? undefined : plan.Path,
    fields: [
      ...[PLAN_FIELD, plan.Answer],
      ...(plan.HasLength && hasBody ? ['content-length', String(length)] : []),
      // Go drops trailers that no one announced.
      ...(plan.Trailers.length > 0
        ? ['trailer', plan.Trailers.map(([name]) => name).join(', ')]
        : []),
      ...plan.Fields.flat(),
    ],
  };
  const stream = session.request(head, {
    onInformational: () => {
      interims += 1;
    },
    onResponse: (response) => {
      ({ status, fields } = response);
      if (plan.Cancel) {
        stream.reset(ERROR.CANCEL);
      }
    },
    onNoResponse: () => {
      failed = true;
    },
  });
  const sender = new Sender(plan.Chunks, () => {
    if (plan.Trailers.length > 0) {
      stream.sendTrailers(plan.Trailers.flat());
    } else {
      stream.end();
    }
  });
  stream.start({
    onData: (chunk) => digest.add(chunk),
    onEnd: () => undefined,
    onDrain: () => sender.sendTo(stream),
    onClose: (error) => {
      const trailers = stream.trailers ?? [];
      resolve({
        Index: plan.Index,
        Status: status,
        Interims: interims,
        Fields: ownFields(fields),
        Body: digest.toString(),
        Trailers: ownFields(trailers),
        Saw: fieldOf(trailers, SAW_FIELD) || fieldOf(fields, SAW_FIELD),
        Failed: failed || error !== undefined,
      });
    },
  });
  sender.sendTo(stream);
  return promise;
}
