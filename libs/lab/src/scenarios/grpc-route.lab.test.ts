/** GRPCRoutes at the waypoint: by method, headers and weight, and before HTTPRoutes. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { type Bed, conditionsOf, serviceYaml, yaml } from './bed.ts';
import type { Caller } from './caller.ts';
import { Reviews, RULE_KEY } from './reviews.ts';

const PARENTS = [{ group: '', kind: 'Service', name: 'reviews', port: 80 }];
const to = (version: string, weight = 1): object => ({
  name: `reviews-${version}`,
  port: 80,
  weight,
});

function route(kind: 'GRPCRoute' | 'HTTPRoute', rules: readonly object[]): string {
  return yaml({
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind,
    metadata: { name: 'reviews', namespace: 'shop' },
    spec: { parentRefs: PARENTS, rules },
  });
}

const RULES = [
  {
    matches: [{ method: { service: 'shop.Reviews', method: 'Get' } }],
    filters: [
      {
        type: 'ResponseHeaderModifier',
        responseHeaderModifier: { set: [{ name: 'x-by', value: 'grpc-route' }] },
      },
    ],
    backendRefs: [to('v2')],
  },
  {
    matches: [
      { method: { service: 'shop.Reviews' }, headers: [{ name: 'x-beta', value: '1' }] },
      { method: { type: 'RegularExpression', service: 'beta\\..+', method: 'L.*' } },
    ],
    backendRefs: [to('v3')],
  },
  { matches: [{ method: { service: 'shop.Reviews' } }], backendRefs: [to('v1')] },
  { matches: [{ method: { service: 'shop.Gone' } }], backendRefs: [to('v9')] },
  { matches: [{ method: { service: 'shop.Split' } }], backendRefs: [to('v1', 7), to('v2', 3)] },
];

describe('GRPCRoute', () => {
  let reviews: Reviews;
  let bed: Bed;
  let client: Caller;
  const call = async (method: string, headers: Readonly<Record<string, string>> = {}) =>
    await client.http2({ url: `http://reviews/${method}`, grpc: true, headers });

  /** Of an answer without a message: in its headers. */
  const statusOf = async (method: string) => (await call(method)).headers['grpc-status'];

  before(async () => {
    reviews = await Reviews.start();
    ({ bed, client } = reviews);
    const services = ['v1', 'v2', 'v3'].map((version) =>
      serviceYaml(`reviews-${version}`, 'shop', { selector: { app: 'reviews', version } }),
    );
    bed.lab.apply(services.join('') + route('GRPCRoute', RULES));
    bed.lab.delete(RULE_KEY);
    await bed.lab.waitFor(
      async () => (await call('shop.Reviews/Get')).headers['x-by'] === 'grpc-route',
      { what: 'the GRPCRoute' },
    );
  });
  after(async () => await reviews[Symbol.asyncDispose]());

  const cases: readonly (readonly [
    method: string,
    headers: Readonly<Record<string, string>>,
    version: string,
  ])[] = [
    ['shop.Reviews/Get', {}, 'v2'],
    ['shop.Reviews/Get', { 'x-beta': '1' }, 'v2'],
    ['shop.Reviews/List', {}, 'v1'],
    ['shop.Reviews/List', { 'x-beta': '1' }, 'v3'],
    ['beta.Reviews/List', {}, 'v3'],
  ];
  for (const [method, headers, version] of cases) {
    it(`sends ${method} ${JSON.stringify(headers)} to ${version}, with its trailers`, async () => {
      const answer = await call(method, headers);
      assert.equal(answer.headers['x-version'], version, JSON.stringify(answer));
      assert.equal(answer.trailers?.['grpc-status'], '0');
    });
  }

  it('answers UNIMPLEMENTED for a method that no rule has', async () => {
    assert.equal(await statusOf('beta.Reviews/Get'), '12');
    assert.equal(await statusOf('other.Reviews/Get'), '12');
  });

  it('answers UNAVAILABLE for a backend that is not there, and says so', async () => {
    assert.equal(await statusOf('shop.Gone/Get'), '14');
    const found = conditionsOf(bed.lab, 'GRPCRoute/shop/reviews');
    const refs = found.find(({ type }) => type === 'ResolvedRefs');
    assert.equal(refs?.status, 'False');
  });

  it('splits by weight', async () => {
    const versions: Record<string, number> = {};
    for (let count = 0; count < 300; count += 1) {
      const { headers } = await call('shop.Split/Get');
      const version = String(headers['x-version']);
      versions[version] = (versions[version] ?? 0) + 1;
    }
    const share = (versions['v2'] ?? 0) / 3;
    assert.ok(Math.abs(share - 30) <= 10, JSON.stringify(versions));
  });

  it('goes before an HTTPRoute for the same port', async () => {
    bed.lab.apply(route('HTTPRoute', [{ backendRefs: [to('v3')] }]));
    await bed.lab.waitFor(
      () =>
        conditionsOf(bed.lab, 'HTTPRoute/shop/reviews').some(
          ({ type, reason }) => type === 'Accepted' && reason === 'Conflicted',
        ),
      { what: 'the condition of the HTTPRoute' },
    );
    assert.equal((await call('shop.Reviews/Get')).headers['x-version'], 'v2');
    assert.equal(await statusOf('other.Reviews/Get'), '12');
    bed.lab.delete('HTTPRoute/shop/reviews');
  });
});
