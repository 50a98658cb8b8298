/** DestinationRule at the waypoint: how load is balanced, what is too much, and who is left out. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type Bed, inForce } from './bed.ts';
import type { Caller, Tally } from './caller.ts';
import { destinationRule, Reviews, toAll, toSubset } from './reviews.ts';

const NO_RETRIES = { attempts: 0 };
const RULE = 'DestinationRule/shop/reviews';

describe('traffic policy', () => {
  let reviews: Reviews;
  let bed: Bed;
  let client: Caller;
  before(async () => {
    reviews = await Reviews.start();
    ({ bed, client } = reviews);
  });
  after(async () => await reviews[Symbol.asyncDispose]());

  /** A rule in force, with every request sent to all versions. */
  const applyPolicy = async (policy: object): Promise<void> => {
    bed.lab.apply(destinationRule(policy));
    await reviews.route([{ route: [toAll], retries: NO_RETRIES }]);
    await inForce(bed.lab, RULE);
  };
  const isOverflow = ([error]: [string, number]): boolean => error.includes('overflow');
  /** Requests refused by the mesh because they were too many. */
  const overflows = ({ errors }: Tally): number =>
    Object.entries(errors)
      .filter(isOverflow)
      .reduce((sum, [, count]) => sum + count, 0);

  it('balances by round robin: each in turn', async () => {
    await applyPolicy({ loadBalancer: { simple: 'ROUND_ROBIN' } });
    const { versions } = await client.many({ url: 'http://reviews/' }, 300, 1);
    for (const version of ['v1', 'v2', 'v3']) {
      assert.ok(Math.abs((versions[version] ?? 0) - 100) <= 3, JSON.stringify(versions));
    }
  });

  it('balances at random: each as often, not in turn', async () => {
    await applyPolicy({ loadBalancer: { simple: 'RANDOM' } });
    const order: string[] = [];
    for (let i = 0; i < 200; i += 1) {
      order.push(await reviews.versionOf('/'));
    }
    const repeats = order.filter((version, i) => i > 0 && version === order[i - 1]).length;
    // A third of 200; in turn there would be none.
    assert.ok(repeats >= 30 && repeats <= 105, `${repeats} of 200 as the one before`);
    assert.deepEqual([...new Set(order)].sort(), ['v1', 'v2', 'v3']);
  });

  it('balances by least request: not to who is busy', async () => {
    await applyPolicy({ loadBalancer: { simple: 'LEAST_REQUEST' } });
    const path = '/?delay=30000&only=v2';
    // Requests that one version does not answer: as often as it is drawn, it gets busier.
    const busy = Array.from({ length: 24 }, () =>
      client.http({ url: `http://reviews${path}`, timeoutMs: 4_000 }),
    );
    await bed.lab.clock.sleep(500);
    const { versions } = await client.many({ url: 'http://reviews/' }, 300, 1);
    await Promise.all(busy);
    // Only when both draws fall on it: a ninth, where an even share is a third.
    assert.ok((versions['v2'] ?? 0) < 70, JSON.stringify(versions));
  });

  it('splits TCP connections by weight', async () => {
    bed.lab.apply(destinationRule());
    await reviews.route([{ route: [toSubset('v1')] }], {
      tcp: [{ match: [{ port: 9001 }], route: [toSubset('v2', 70), toSubset('v3', 30)] }],
    });
    const count = async (batches: number): Promise<Record<string, number>> => {
      const counts: Record<string, number> = {};
      for (let batch = 0; batch < batches; batch += 1) {
        const answers = await Promise.all(
          Array.from({ length: 20 }, () => client.tcp({ host: 'reviews', port: 9001, wait: true })),
        );
        for (const { received, error } of answers) {
          const version = /reviews-(v\d)/.exec(received)?.[1] ?? `none: ${error}`;
          counts[version] = (counts[version] ?? 0) + 1;
        }
      }
      return counts;
    };
    await bed.lab.waitFor(async () => (await count(1))['v1'] === undefined, {
      what: 'the TCP route',
    });
    const counts = await count(10);
    assert.deepEqual(Object.keys(counts).sort(), ['v2', 'v3'], JSON.stringify(counts));
    // Four standard deviations of 200 connections at 30 %.
    assert.ok(Math.abs((counts['v3'] ?? 0) - 60) <= 26, JSON.stringify(counts));
  });

  for (const [title, pool] of [
    ['requests', { http: { http2MaxRequests: 2 } }],
    [
      'connections and those who wait',
      { tcp: { maxConnections: 1 }, http: { http1MaxPendingRequests: 1 } },
    ],
  ] as const) {
    it(`refuses what exceeds a connection pool at once: ${title}`, async () => {
      await applyPolicy({ connectionPool: pool });
      const tally = await client.many({ url: 'http://reviews/?delay=300' }, 20, 20);
      assert.deepEqual(Object.keys(tally.statuses).sort(), ['200', '503'], JSON.stringify(tally));
      assert.ok(overflows(tally) >= 14, JSON.stringify(tally));
      const after = await client.many({ url: 'http://reviews/' }, 20, 1);
      assert.deepEqual(after.statuses, { 200: 20 }, 'one after the other is not too much');
    });
  }

  it('refuses TCP connections beyond the pool', async () => {
    await applyPolicy({ connectionPool: { tcp: { maxConnections: 1 } } });
    assert.equal((await client.hold('only', 'reviews', 9000)).ok, true);
    assert.deepEqual(await client.ping('only'), { ok: true });
    const second = await client.tcp({ host: 'reviews', port: 9000, send: 'word' });
    assert.equal(second.received, '', JSON.stringify(second));
    assert.deepEqual(await client.ping('only'), { ok: true });
  });

  it('ejects an endpoint that fails, and lets it back in', async () => {
    await applyPolicy({
      loadBalancer: { simple: 'ROUND_ROBIN' },
      outlierDetection: {
        consecutive5xxErrors: 3,
        interval: '1s',
        baseEjectionTime: '5s',
        maxEjectionPercent: 100,
      },
    });
    // Version 3 fails whenever it is asked: three times, then nobody asks it.
    const { statuses, versions } = await client.many(
      { url: 'http://reviews/?status=500&only=v3' },
      60,
      1,
    );
    assert.deepEqual(statuses, { 200: 57, 500: 3 });
    assert.deepEqual(Object.keys(versions).sort(), ['v1', 'v2']);
    await bed.lab.waitFor(async () => (await reviews.versionOf('/')) === 'v3', {
      what: 'the endpoint to be back',
      timeoutMs: 15_000,
    });
  });

  it('answers 503 where every endpoint of a subset is ejected', async () => {
    bed.lab.apply(
      destinationRule({
        outlierDetection: {
          consecutive5xxErrors: 3,
          interval: '1s',
          baseEjectionTime: '60s',
          maxEjectionPercent: 100,
        },
      }),
    );
    await reviews.route([{ route: [toSubset('v3')], retries: NO_RETRIES }]);
    await inForce(bed.lab, RULE);
    for (let i = 0; i < 3; i += 1) {
      assert.equal((await client.http({ url: 'http://reviews/?status=500' })).status, 500);
    }
    const answer = await client.http({ url: 'http://reviews/' });
    assert.deepEqual([answer.status, answer.body], [503, 'no healthy upstream']);
  });
});
