import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { formatAnswer, parseReview, reviewHead, type Verdict } from './admission-review.ts';
import { bytesOf, reviewOf, VIRTUAL_SERVICE } from './review.testing.ts';

const VERDICT: Verdict = { allowed: true, reason: 'valid', causes: [], warnings: [] };

interface Answer {
  readonly apiVersion: string;
  readonly kind: string;
  readonly response: {
    readonly uid: string;
    readonly allowed: boolean;
    readonly warnings?: readonly string[];
    readonly status?: {
      readonly code: number;
      readonly message: string;
      readonly details: { readonly causes: readonly unknown[] };
    };
  };
}

const answerOf = (verdict: Partial<Verdict>): Answer =>
  JSON.parse(formatAnswer('u1', { ...VERDICT, ...verdict })) as Answer;

describe('parseReview', () => {
  it('reads what an API server writes', () => {
    const parsed = parseReview(bytesOf(reviewOf(VIRTUAL_SERVICE, { uid: 'u1', dryRun: true })));
    assert.ok(parsed.kind === 'ok');
    const { object, ...facts } = parsed.request;
    assert.deepEqual(object, VIRTUAL_SERVICE);
    assert.deepEqual(facts, {
      uid: 'u1',
      operation: 'CREATE',
      dryRun: true,
      namespace: 'shop',
      name: 'reviews',
      group: 'networking.istio.io',
      version: 'v1',
      resource: 'virtualservices',
      user: 'kubernetes-admin',
      oldObject: undefined,
    });
  });

  const good = reviewOf(VIRTUAL_SERVICE);
  const REFUSED: readonly (readonly [title: string, body: Uint8Array])[] = [
    ['nothing', new Uint8Array()],
    ['no JSON', new TextEncoder().encode('{')],
    ['no UTF-8', new Uint8Array([0x22, 0xff, 0x22])],
    ['a number', bytesOf(7)],
    ['null', bytesOf(null)],
    ['a list', bytesOf([])],
    ['another version', bytesOf({ ...good, apiVersion: 'admission.k8s.io/v1beta1' })],
    ['another kind', bytesOf({ ...good, kind: 'Pod' })],
    ['no request', bytesOf({ ...good, request: undefined })],
    ['a request that is a list', bytesOf({ ...good, request: [] })],
    ['no uid', bytesOf({ ...good, request: {} })],
    ['a uid that is no text', bytesOf({ ...good, request: { uid: 7 } })],
  ];
  for (const [title, body] of REFUSED) {
    it(`refuses ${title}`, () => assert.equal(parseReview(body).kind, 'error'));
  }

  it('takes any bytes without throwing', () => {
    const body = bytesOf(good);
    for (let index = 0; index < body.length; index += 1) {
      const changed = body.slice();
      changed[index] = (index * 37) % 256;
      parseReview(changed);
      parseReview(body.subarray(0, index));
      reviewHead(changed);
    }
  });
});

describe('reviewHead', () => {
  it('finds uid and namespace', () => {
    const head = reviewHead(bytesOf(reviewOf(VIRTUAL_SERVICE, { uid: 'u1', namespace: 'n1' })));
    assert.deepEqual(head, { uid: 'u1', namespace: 'n1' });
  });

  it('does not read the object', () => {
    const body = bytesOf({ request: { object: { uid: 'x', namespace: 'theirs' } } });
    assert.deepEqual(reviewHead(body), { uid: '', namespace: '' });
  });
});

describe('formatAnswer', () => {
  it('allows', () => {
    assert.deepEqual(answerOf({}), {
      apiVersion: 'admission.k8s.io/v1',
      kind: 'AdmissionReview',
      response: { uid: 'u1', allowed: true },
    });
  });

  it('refuses with every cause', () => {
    const { response } = answerOf({
      allowed: false,
      causes: [
        { field: 'spec.a', message: 'spec.a is wrong' },
        { field: '', message: 'all is wrong' },
      ],
    });
    assert.equal(response.allowed, false);
    assert.equal(response.status?.code, 422);
    assert.equal(response.status.message, 'spec.a is wrong\nall is wrong');
    assert.deepEqual(response.status.details.causes, [
      { reason: 'FieldValueInvalid', field: 'spec.a', message: 'spec.a is wrong' },
      { reason: 'FieldValueInvalid', message: 'all is wrong' },
    ]);
  });

  it('is bounded whatever was found', () => {
    const many = Array.from({ length: 10_000 }, () => 'x'.repeat(1_000));
    const causes = many.map((message) => ({ field: 'spec', message }));
    const { response } = answerOf({ allowed: false, causes, warnings: many });
    assert.equal(response.warnings?.length, 16);
    assert.match(response.warnings[15] ?? '', /9985 more/);
    assert.ok(
      formatAnswer('u', { ...VERDICT, allowed: false, causes, warnings: many }).length < 80_000,
    );
  });
});
