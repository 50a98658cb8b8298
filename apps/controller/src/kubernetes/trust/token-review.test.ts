import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { FakeClock } from '@ambit/core/testing';
import { IdentityError } from '@ambit/identity';
import { KubeError } from '@ambit/kube';
import { TokenReviewVerifier } from './token-review.ts';

interface Sent {
  readonly spec: { readonly token: string; readonly audiences: readonly string[] };
}

const clockStart = Date.UTC(2026, 0, 1) / 1000;
const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');

function token(claims: object = {}): string {
  return `${encode({ alg: 'RS256' })}.${encode({ exp: clockStart + 3_600, ...claims })}.c2ln`;
}

const EXTRA = {
  'authentication.kubernetes.io/pod-name': ['agent-1'],
  'authentication.kubernetes.io/pod-uid': ['u-1'],
  'authentication.kubernetes.io/node-name': ['node1'],
};
const USER = {
  username: 'system:serviceaccount:istio-system:ambit-node-agent',
  groups: ['system:serviceaccounts', 'system:authenticated'],
  extra: EXTRA,
};
const GOOD = { authenticated: true, audiences: ['istio-ca'], user: USER };

type Review = (body: Sent, signal: AbortSignal | undefined) => Promise<unknown>;

function verifier(
  review: Review,
  options: Partial<ConstructorParameters<typeof TokenReviewVerifier>[0]> = {},
) {
  const clock = new FakeClock();
  const client = {
    review: (_gvr: unknown, body: unknown, { signal }: { signal?: AbortSignal | undefined } = {}) =>
      review(body as Sent, signal),
  };
  return { clock, verifier: new TokenReviewVerifier({ client, clock, ...options }) };
}

const answering =
  (status: object): Review =>
  () =>
    Promise.resolve({ status });

async function refusalOf(status: object, audiences = ['istio-ca']): Promise<IdentityError> {
  const { verifier: v } = verifier(answering(status), { audiences });
  const error = await v.verify(token()).then(
    () => assert.fail('it was accepted'),
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof IdentityError);
  return error;
}

describe('TokenReviewVerifier', () => {
  it('answers with account, pod and node', async () => {
    const bodies: Sent[] = [];
    const { verifier: v } = verifier((body) => {
      bodies.push(body);
      return Promise.resolve({ status: GOOD });
    });
    const good = token();
    assert.deepEqual(await v.verify(good), {
      namespace: 'istio-system',
      serviceAccount: 'ambit-node-agent',
      pod: { name: 'agent-1', uid: 'u-1' },
      node: 'node1',
      expiresAtMs: (clockStart + 3_600) * 1000,
    });
    assert.deepEqual(bodies[0]?.spec, { token: good, audiences: ['istio-ca'] });
  });

  it('accepts one of several audiences, and a token that names no node', async () => {
    const { ['authentication.kubernetes.io/node-name']: _node, ...extra } = EXTRA;
    const status = { ...GOOD, audiences: ['mesh'], user: { ...USER, extra } };
    const { verifier: v } = verifier(answering(status), { audiences: ['istio-ca', 'mesh'] });
    assert.equal((await v.verify(token())).node, '');
  });

  const user = (change: object) => ({ ...GOOD, user: { ...USER, ...change } });
  const extra = (change: object) => user({ extra: { ...EXTRA, ...change } });
  for (const [why, status, message] of [
    [
      'is not authenticated',
      { authenticated: false, error: 'token expired' },
      /not authenticate it \(token expired\)/,
    ],
    ['gets no status', {}, /does not authenticate it$/],
    ['gets a status of another type', { authenticated: 'true' }, /does not authenticate/],
    [
      'is for another audience',
      {
        error:
          '[invalid bearer token, token audiences ["api"] is invalid for the target audiences ["istio-ca"]]',
      },
      /not for istio-ca/,
    ],
    [
      'was checked for no audience',
      { ...GOOD, audiences: undefined },
      /for the API server, not for/,
    ],
    [
      'was checked for another audience',
      { ...GOOD, audiences: ['api'] },
      /for api, not for istio-ca/,
    ],
    [
      'is of a person',
      user({ username: 'system:admin', groups: ['system:masters'] }),
      /not of a service account/,
    ],
    [
      'is of an account that could not be an identity',
      user({ username: 'system:serviceaccount:a/b:c' }),
      /not of a service/,
    ],
    ['is in no group of accounts', user({ groups: ['system:authenticated'] }), /not in the group/],
    ['is bound to no pod', user({ extra: {} }), /not bound to a pod/],
    [
      'is bound to a pod without uid',
      extra({ 'authentication.kubernetes.io/pod-uid': [] }),
      /not bound to a pod/,
    ],
    [
      'is bound to two pods',
      extra({ 'authentication.kubernetes.io/pod-name': ['a', 'b'] }),
      /not bound to a pod/,
    ],
  ] as const) {
    it(`refuses a token that ${why}`, async () => {
      const error = await refusalOf(status);
      assert.equal(error.code, 'IDENTITY_TOKEN_INVALID');
      assert.equal(error.retryable, false);
      assert.match(error.message, message);
    });
  }

  for (const [what, bad, message] of [
    ['no JWT', 'abc', /no JWT/],
    ['empty', '', /no JWT/],
    ['too long', `${'a'.repeat(16_384)}.b.c`, /longer/],
    ['no JSON', 'a.b.c', /no JSON/],
    ['without an end', `${encode({})}.${encode({ sub: 'x' })}.c`, /no time/],
    ['expired', token({ exp: clockStart - 61 }), /expired at 2025-12-31/],
  ] as const) {
    it(`asks nobody about a token that is ${what}`, async () => {
      const { verifier: v } = verifier(() => assert.fail('asked'));
      await assert.rejects(v.verify(bad), { code: 'IDENTITY_TOKEN_INVALID', message });
    });
  }

  it('never shows the token', async () => {
    const { verifier: v } = verifier(answering({ authenticated: false, error: 'no' }));
    const secret = token({ jti: 'abcdef' });
    await assert.rejects(v.verify(secret), (error) => {
      assert.ok(!JSON.stringify(error).includes(secret) && !String(error).includes(secret));
      return true;
    });
  });

  it('keeps a good answer for a minute, and not beyond the end of the token', async () => {
    let asked = 0;
    const { verifier: v, clock } = verifier(() => {
      asked += 1;
      return Promise.resolve({ status: GOOD });
    });
    await v.verify(token());
    clock.advance(59_999);
    await v.verify(token());
    assert.equal(asked, 1);
    clock.advance(1);
    await v.verify(token());
    assert.equal(asked, 2);
    const short = token({ exp: clockStart + 70 });
    await v.verify(short);
    clock.advance(10_001);
    await v.verify(short);
    assert.equal(asked, 4);
  });

  it('keeps no refusal, and no more answers than it may', async () => {
    const asked: string[] = [];
    let status: object = { authenticated: false };
    const { verifier: v } = verifier(
      (body) => {
        asked.push(body.spec.token);
        return Promise.resolve({ status });
      },
      { cachedMax: 2 },
    );
    await assert.rejects(v.verify(token()));
    status = GOOD;
    await v.verify(token());
    assert.equal(asked.length, 2);
    const [b, c] = [token({ jti: 'b' }), token({ jti: 'c' })];
    await v.verify(b);
    await v.verify(c);
    await v.verify(token());
    assert.equal(asked.length, 5);
    await v.verify(c);
    assert.equal(asked.length, 5);
  });

  it('asks once for one token, and only so many at a time', async () => {
    const waiting: PromiseWithResolvers<unknown>[] = [];
    const { verifier: v } = verifier(
      () => {
        const one = Promise.withResolvers<unknown>();
        waiting.push(one);
        return one.promise;
      },
      { inFlightMax: 2, waitingMax: 1 },
    );
    const tokens = ['a', 'b', 'c', 'd'].map((jti) => token({ jti }));
    const [a = '', b = '', c = '', d = ''] = tokens;
    const running = [v.verify(a), v.verify(a), v.verify(b), v.verify(c)];
    await assert.rejects(v.verify(d), {
      code: 'IDENTITY_TOKEN_REVIEW_UNAVAILABLE',
      retryable: true,
    });
    await new Promise(setImmediate);
    assert.equal(waiting.length, 2);
    waiting[0]?.resolve({ status: GOOD });
    await running[0];
    await running[1];
    await new Promise(setImmediate);
    assert.equal(waiting.length, 3);
    for (const one of waiting) one.resolve({ status: GOOD });
    await Promise.all(running);
    assert.deepEqual(v.counters, { asked: 3, cached: 0, refused: 0, unavailable: 1 });
  });

  it('lets one that floods hold up only itself', async () => {
    const waiting: PromiseWithResolvers<unknown>[] = [];
    const { verifier: v } = verifier(() => {
      const one = Promise.withResolvers<unknown>();
      waiting.push(one);
      return one.promise;
    });
    const flood = Array.from({ length: 40 }, (_, index) =>
      v.verify(token({ jti: `flood-${index}` }), '10.0.0.9').catch((error: unknown) => error),
    );
    const agent = v.verify(token({ jti: 'agent' }), '10.0.0.1');
    await new Promise(setImmediate);
    assert.equal(waiting.length, 2, 'one of each address');
    waiting[1]?.resolve({ status: GOOD });
    await agent;
    while (waiting.length > 0) {
      for (const one of waiting.splice(0)) one.resolve({ status: GOOD });
      await new Promise(setImmediate);
    }
    const answers = await Promise.all(flood);
    const refused = answers.filter((answer) => answer instanceof Error);
    assert.equal(refused.length, 40 - 1 - 32);
    assert.match(String(refused[0]), /too many callers wait/);
  });

  it('accepts nothing while the API server is away', async () => {
    for (const code of ['KUBE_CONNECTION_FAILED', 'KUBE_FORBIDDEN', 'KUBE_UNAVAILABLE'] as const) {
      const { verifier: v } = verifier(() => Promise.reject(new KubeError(code, 'gone')));
      await assert.rejects(
        v.verify(token()),
        { code: 'IDENTITY_TOKEN_REVIEW_UNAVAILABLE', retryable: true, message: /gone/ },
        code,
      );
    }
  });

  it('waits for an answer for so long only', async () => {
    let stopped: AbortSignal | undefined;
    const { verifier: v, clock } = verifier((_body, signal) => {
      stopped = signal;
      return new Promise(() => undefined);
    });
    const running = assert.rejects(v.verify(token()), {
      code: 'IDENTITY_TOKEN_REVIEW_UNAVAILABLE',
      message: /within 5000 ms/,
    });
    await new Promise(setImmediate);
    clock.advance(5_000);
    await running;
    assert.equal(stopped?.aborted, true);
  });
});
