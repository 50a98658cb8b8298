/**
 * Exchanges for two peers, made by seed: what is asked, how it is answered, and what each side has to have seen of it when
 * both speak the same language. The plan of the answer travels in the request, so any server can hold its side.
 */
import { createHash } from 'node:crypto';
import type { Random } from '@ambit/core/fuzzing';
import type { Fields } from '../message.ts';

type Field = readonly [name: string, value: string];

export interface AnswerPlan {
  readonly Status: number;
  /** 103 before it. */
  readonly Interims: number;
  readonly Fields: readonly Field[];
  /** Lengths of what is written at a time. */
  readonly Chunks: readonly number[];
  readonly Trailers: readonly Field[];
  /** After the request ended; before its body was read; broken off in the body. */
  readonly How: 'whole' | 'early' | 'reset';
}

/** Names as the program in Go reads them from JSON. */
export interface Plan {
  readonly Index: number;
  readonly Method: string;
  /** Empty for CONNECT. */
  readonly Path: string;
  readonly Authority: string;
  readonly Fields: readonly Field[];
  readonly Chunks: readonly number[];
  readonly HasLength: boolean;
  readonly Trailers: readonly Field[];
  /** The client gives up when the answer begins. */
  readonly Cancel: boolean;
  readonly Answer: string;
}

/** What a client saw of an answer. */
export interface Result {
  readonly Index: number;
  readonly Status: number;
  readonly Interims: number;
  readonly Fields: string;
  readonly Body: string;
  readonly Trailers: string;
  /** What the server says that it saw of the request. */
  readonly Saw: string;
  readonly Failed: boolean;
}

const LENGTHS = [0, 1, 9, 100, 1_000, 4_096, 16_375, 16_384, 16_385, 40_000, 65_535, 65_536];
const LARGE = 300_000;
/** Whoever is refused early, as Go sees it, need not send the rest of a request. */
const GOOD = [200, 201];
const STATUSES = [200, 200, 200, 201, 404, 503, 599];
const PATHS = ['/', '/a/b?c=d', '/%2f..//x', `/${'long/'.repeat(60)}`, '/a?b=%00&c=%ff'];
const VALUES = [
  '',
  'a',
  'x y\tz',
  '"quoted", list',
  'é'.normalize('NFD').slice(0, 1),
  'v'.repeat(600),
];
export const PLAN_FIELD = 'x-plan';
export const SAW_FIELD = 'x-saw';

function fieldsOf(random: Random, most: number): Field[] {
  return Array.from({ length: random.below(most) }, () => [
    `x-t-${'abcdef'[random.below(6)]}`,
    random.pick(VALUES),
  ]);
}

function chunksOf(random: Random, most: number): number[] {
  const lengths = Array.from({ length: random.below(most) }, () => random.pick(LENGTHS));
  return random.oneIn(12) ? [...lengths, LARGE] : lengths;
}

function answerPlan(random: Random, isBare: boolean): AnswerPlan {
  const how = random.pick(['whole', 'whole', 'whole', 'early', 'reset'] as const);
  const kept = isBare ? 'whole' : how;
  return {
    Status: isBare && random.oneIn(2) ? 204 : random.pick(kept === 'early' ? GOOD : STATUSES),
    Interims: random.oneIn(4) ? 1 + random.below(3) : 0,
    Fields: fieldsOf(random, 6),
    // A reset needs something that it breaks off.
    Chunks: isBare ? [] : [...chunksOf(random, 5), ...(kept === 'reset' ? [100] : [])],
    Trailers: isBare || kept === 'reset' ? [] : fieldsOf(random, 3),
    How: kept,
  };
}

export function makePlan(random: Random, index: number): Plan {
  const method = random.pick(['GET', 'POST', 'POST', 'PUT', 'HEAD', 'DELETE', 'CONNECT', 'PURGE']);
  const isTunnel = method === 'CONNECT';
  const hasBody = isTunnel || method === 'POST' || method === 'PUT';
  const isBare = method === 'HEAD' || (!isTunnel && random.oneIn(10));
  const answer = answerPlan(random, isBare);
  const chunks = hasBody ? [...chunksOf(random, 6), 10] : [];
  return {
    Index: index,
    Method: method,
    Path: isTunnel ? '' : random.pick(PATHS),
    Authority: random.pick(['a.example:81', 'reviews.shop.svc.cluster.local', '[fd00::1]:9080']),
    Fields: fieldsOf(random, 8),
    Chunks: chunks,
    HasLength: !isTunnel && random.oneIn(2),
    Trailers: hasBody && !isTunnel ? fieldsOf(random, 3) : [],
    Cancel: !isBare && random.oneIn(12),
    // A tunnel is made, and has no trailers (RFC 9113 §8.5).
    Answer: encodeAnswer(
      isTunnel ? { ...answer, Status: 200, Trailers: [], How: 'whole' } : answer,
    ),
  };
}

function encodeAnswer(plan: AnswerPlan): string {
  return Buffer.from(JSON.stringify(plan)).toString('base64url');
}

export function decodeAnswer(text: string): AnswerPlan {
  return JSON.parse(Buffer.from(text, 'base64url').toString()) as AnswerPlan;
}

/** Bytes that tell where they belong: the same at both ends. */
export function pattern(from: number, length: number): Buffer {
  const bytes = Buffer.allocUnsafe(length);
  for (let index = 0; index < length; index += 1) {
    const at = from + index;
    bytes[index] = (at * 31 + (at >> 8)) & 0xff;
  }
  return bytes;
}

/** `bytes` in the lengths of `chunks`. */
export function piecesOf(chunks: readonly number[]): Buffer[] {
  const whole = pattern(0, sum(chunks));
  let at = 0;
  return chunks.map((length) => {
    at += length;
    return whole.subarray(at - length, at);
  });
}

const sum = (numbers: readonly number[]): number => numbers.reduce((all, one) => all + one, 0);

/** Length and sum of a body. */
export class Digest {
  readonly #sum = createHash('sha256');
  #length = 0;

  add(chunk: Uint8Array): void {
    this.#sum.update(chunk);
    this.#length += chunk.length;
  }

  toString(): string {
    return `${this.#length}:${this.#sum.copy().digest('hex').slice(0, 16)}`;
  }
}

export function digestOf(chunks: readonly number[]): string {
  const digest = new Digest();
  digest.add(pattern(0, sum(chunks)));
  return digest.toString();
}

/** Fields that these tests add, in one order; the rest is each implementation's own. */
export function ownFields(fields: Fields): string {
  const values = new Map<string, string[]>();
  for (let at = 0; at + 1 < fields.length; at += 2) {
    const name = fields[at] ?? '';
    if (name.startsWith('x-t-')) {
      values.set(name, [...(values.get(name) ?? []), fields[at + 1] ?? '']);
    }
  }
  return [...values]
    .map(([name, all]) => `${name}=${all.join('|')}`)
    .sort()
    .join(';');
}

/** What a client has to see. `saw` stands only where the server could tell. */
export function expectedOf(plan: Plan): Partial<Result> {
  const { Status, Interims, Fields, Chunks, Trailers, How } = decodeAnswer(plan.Answer);
  const begun = { Index: plan.Index, Status, Interims, Fields: ownFields(Fields.flat()) };
  if (plan.Cancel) {
    return begun;
  }
  if (How === 'reset') {
    return { ...begun, Failed: true };
  }
  const isHead = plan.Method === 'HEAD';
  return {
    ...begun,
    Body: digestOf(isHead ? [] : Chunks),
    Trailers: ownFields(Trailers.flat()),
    Saw: [
      plan.Method,
      plan.Path,
      plan.Authority,
      ownFields(plan.Fields.flat()),
      digestOf(plan.Chunks),
      ownFields(plan.Trailers.flat()),
      '.',
    ].join(' '),
    Failed: false,
  };
}
