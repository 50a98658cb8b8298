import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { seededRandom } from '../testing.ts';
import {
  drawFault,
  drawMirrors,
  pickWeighted,
  requestTimeoutMs,
  shadowAuthority,
} from './traffic.ts';

describe('pickWeighted', () => {
  it('lands 1000 draws at 80/20 within 3 points', () => {
    for (let seed = 1; seed <= 5; seed += 1) {
      const random = seededRandom(seed);
      const entries = [
        { name: 'v1', weight: 80 },
        { name: 'v2', weight: 20 },
      ];
      let count = 0;
      for (let draw = 0; draw < 1000; draw += 1) {
        if (pickWeighted(entries, random).name === 'v1') count += 1;
      }
      assert.ok(Math.abs(count - 800) <= 30, `seed ${seed}: ${count}`);
    }
  });

  it('shares by weight over the sum, whatever the sum', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 20 }), { minLength: 1, maxLength: 5 }),
        fc.integer({ min: 1, max: 2 ** 31 }),
        (weights, seed) => {
          const total = weights.reduce((sum, weight) => sum + weight, 0);
          fc.pre(total > 0);
          const entries = weights.map((weight, index) => ({ index, weight }));
          const counts = weights.map(() => 0);
          const random = seededRandom(seed);
          const draws = 2000;
          for (let draw = 0; draw < draws; draw += 1) {
            const { index } = pickWeighted(entries, random);
            counts[index] = (counts[index] ?? 0) + 1;
          }
          for (const [index, weight] of weights.entries()) {
            const share = (counts[index] ?? 0) / draws;
            // 5 standard deviations of a share of one half.
            assert.ok(Math.abs(share - weight / total) < 0.06, `${weights}: ${counts}`);
            if (weight === 0) assert.equal(counts[index], 0);
          }
        },
      ),
      { numRuns: 30, seed: 42 },
    );
  });

  it('refuses an empty list', () => {
    assert.throws(() => pickWeighted([], () => 0), RangeError);
  });

  it('never falls off the end', () => {
    const entries = [{ weight: 1 }, { weight: 0 }];
    assert.equal(
      pickWeighted(entries, () => 1),
      entries[0],
    );
  });
});

describe('drawFault', () => {
  const fault = {
    delay: { percentage: 50, fixedDelayMs: 5000 },
    abort: { percentage: 100, httpStatus: 418 },
  };

  it('draws delay and abort independently', () => {
    const draws = [0.1, 0.9];
    let next = 0;
    const random = () => draws[next++ % 2] ?? 0;
    assert.deepEqual(drawFault(fault, random), {
      delayMs: 5000,
      abort: { kind: 'http', status: 418 },
    });
    const late = drawFault({ ...fault, abort: { percentage: 50, httpStatus: 500 } }, random);
    assert.deepEqual(late, { delayMs: 5000 });
  });

  it('means never by 0 and absent, always by 100, and knows gRPC names', () => {
    assert.deepEqual(
      drawFault(undefined, () => 0),
      {},
    );
    assert.deepEqual(
      drawFault({ delay: { percentage: 0, fixedDelayMs: 1 } }, () => 0),
      {},
    );
    const grpc = { abort: { percentage: 100, grpcStatus: 'UNAVAILABLE' } };
    assert.deepEqual(
      drawFault(grpc, () => 0.999999999),
      { abort: { kind: 'grpc', status: 14 } },
    );
  });

  it('keeps a precision of one millionth', () => {
    const rare = { abort: { percentage: 0.0001, httpStatus: 500 } };
    assert.ok(drawFault(rare, () => 0.0000009).abort !== undefined);
    assert.ok(drawFault(rare, () => 0.000001).abort === undefined);
  });
});

describe('mirrors and time', () => {
  it('mirrors by percentage', () => {
    const cluster = { host: 'a', port: 80 };
    assert.deepEqual(
      drawMirrors([{ cluster, percentage: 100 }], () => 0.99),
      [cluster],
    );
    assert.deepEqual(
      drawMirrors([{ cluster, percentage: 10 }], () => 0.5),
      [],
    );
  });

  for (const [authority, expected] of [
    ['reviews', 'reviews-shadow'],
    ['reviews:80', 'reviews-shadow:80'],
    ['10.0.0.1:80', '10.0.0.1-shadow:80'],
    ['[fd00::1]', '[fd00::1]'],
    ['[fd00::1]:80', '[fd00::1]:80'],
  ] as const) {
    it(`shadows ${authority}`, () => assert.equal(shadowAuthority(authority), expected));
  }

  for (const [route, grpc, expected] of [
    [undefined, undefined, undefined],
    [0, undefined, undefined],
    [500, undefined, 500],
    [500, '1S', 500],
    [500, '100m', 100],
    [undefined, '2M', 120_000],
    [undefined, '1n', 1],
    [500, '100', 500],
    [500, '123456789S', 500],
    [500, '-1S', 500],
  ] as const) {
    it(`route ${route} and grpc-timeout ${grpc}: ${expected}`, () => {
      assert.equal(requestTimeoutMs(route, grpc), expected);
    });
  }
});
