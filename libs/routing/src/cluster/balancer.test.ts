import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { seededRandom } from '../testing.ts';
import type { Balanced } from './balancer.ts';
import { createBalancer, pickEndpoint } from './balancer.ts';

function endpoints(...weights: readonly number[]): Balanced[] {
  return weights.map((weight, index) => ({ key: `e${index}`, weight }));
}

function counts(
  simple: 'LEAST_REQUEST' | 'RANDOM' | 'ROUND_ROBIN',
  options: { list: readonly Balanced[]; draws: number; active?: Record<string, number> },
): Record<string, number> {
  const balancer = createBalancer({ simple });
  const random = seededRandom(3);
  const seen: Record<string, number> = {};
  for (let draw = 0; draw < options.draws; draw += 1) {
    const { key } = balancer.pick(options.list, {
      random,
      active: (endpoint) => options.active?.[endpoint.key] ?? 0,
    });
    seen[key] = (seen[key] ?? 0) + 1;
  }
  return seen;
}

describe('createBalancer', () => {
  it('ROUND_ROBIN goes round exactly', () => {
    assert.deepEqual(counts('ROUND_ROBIN', { list: endpoints(1, 1, 1), draws: 9 }), {
      e0: 3,
      e1: 3,
      e2: 3,
    });
  });

  it('ROUND_ROBIN keeps weights exactly, spread out', () => {
    const list = endpoints(5, 1, 1);
    assert.deepEqual(counts('ROUND_ROBIN', { list, draws: 70 }), { e0: 50, e1: 10, e2: 10 });
    const balancer = createBalancer({ simple: 'ROUND_ROBIN' });
    const first = Array.from({ length: 7 }, () =>
      balancer.pick(list, { random: () => 0, active: () => 0 }),
    ).map(({ key }) => key);
    assert.deepEqual(first, ['e0', 'e0', 'e1', 'e0', 'e2', 'e0', 'e0']);
  });

  it('RANDOM is uniform', () => {
    const seen = counts('RANDOM', { list: endpoints(1, 1), draws: 2000 });
    assert.ok(Math.abs((seen['e0'] ?? 0) - 1000) < 100, JSON.stringify(seen));
  });

  it('RANDOM goes where the draw falls, whatever went before', () => {
    const balancer = createBalancer({ simple: 'RANDOM' });
    const draws = [0.9, 0.9, 0, 0.5, 0.9];
    const picked = draws.map(
      (draw) => balancer.pick(endpoints(1, 1, 1), { random: () => draw, active: () => 0 }).key,
    );
    assert.deepEqual(picked, ['e2', 'e2', 'e0', 'e1', 'e2']);
  });

  it('balances by LEAST_REQUEST where nothing is said', () => {
    const draws = [0, 0.9];
    const picked = createBalancer({}).pick(endpoints(1, 1), {
      random: () => draws.shift() ?? 0,
      active: ({ key }) => (key === 'e0' ? 1 : 0),
    });
    assert.equal(picked.key, 'e1');
  });

  it('LEAST_REQUEST takes the less loaded of two', () => {
    const seen = counts('LEAST_REQUEST', {
      list: endpoints(1, 1),
      draws: 2000,
      active: { e0: 5 },
    });
    // The loaded one only when both draws fall on it.
    assert.ok(Math.abs((seen['e0'] ?? 0) - 500) < 100, JSON.stringify(seen));
  });

  it('LEAST_REQUEST divides unequal weights by what is in flight', () => {
    const seen = counts('LEAST_REQUEST', {
      list: endpoints(4, 1),
      draws: 2000,
      active: { e0: 3 },
    });
    assert.ok(Math.abs((seen['e0'] ?? 0) - 1000) < 100, JSON.stringify(seen));
  });

  it('refuses an empty list', () => {
    for (const simple of ['LEAST_REQUEST', 'RANDOM', 'ROUND_ROBIN'] as const) {
      assert.throws(() => counts(simple, { list: [], draws: 1 }), RangeError, simple);
    }
  });
});

describe('pickEndpoint', () => {
  const list = endpoints(1, 1, 1, 1);
  const base = {
    endpoints: list,
    balancer: createBalancer({ simple: 'ROUND_ROBIN' }),
    context: { random: seededRandom(1), active: () => 0 },
    isEjected: () => false,
    minHealthPercent: 0,
  };

  it('leaves the ejected out, and answers nobody when all are', () => {
    const isEjected = ({ key }: Balanced) => key !== 'e2';
    assert.equal(pickEndpoint({ ...base, isEjected })?.key, 'e2');
    assert.equal(pickEndpoint({ ...base, isEjected: () => true }), undefined);
    assert.equal(pickEndpoint({ ...base, endpoints: [] }), undefined);
  });

  it('ignores ejection below the panic threshold', () => {
    const isEjected = () => true;
    assert.ok(pickEndpoint({ ...base, isEjected, minHealthPercent: 50 }) !== undefined);
    const half = ({ key }: Balanced) => key === 'e0' || key === 'e1';
    const picked = pickEndpoint({ ...base, isEjected: half, minHealthPercent: 50 });
    assert.ok(picked !== undefined && !half(picked));
  });

  it('avoids endpoints tried before, while there are others', () => {
    const previous = new Set(['e0', 'e1', 'e2']);
    assert.equal(pickEndpoint({ ...base, previous })?.key, 'e3');
    const all = new Set(['e0', 'e1', 'e2', 'e3']);
    assert.ok(pickEndpoint({ ...base, previous: all }) !== undefined);
  });

  it('leaves nobody untried to chance, however little they weigh', () => {
    const unequal = endpoints(10_000, 1);
    for (const simple of ['RANDOM', 'LEAST_REQUEST', 'ROUND_ROBIN'] as const) {
      const query = { ...base, endpoints: unequal, balancer: createBalancer({ simple }) };
      const context = { random: () => 0, active: () => 0 };
      const picked = pickEndpoint({ ...query, context, previous: new Set(['e0']) });
      assert.equal(picked?.key, 'e1', simple);
    }
  });
});
