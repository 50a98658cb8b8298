import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { nameCandidates } from './name-candidates.ts';

const CONTEXT = { clientNamespace: 'shop', clusterDomain: 'cluster.local' };
const exact = (name: string): readonly string[] =>
  [...nameCandidates(name, CONTEXT)]
    .filter(({ isWildcard }) => !isWildcard)
    .map(({ hostname, stripped }) =>
      stripped === undefined ? hostname : `${stripped} > ${hostname}`,
    );

describe('nameCandidates', () => {
  const cases: readonly (readonly [string, readonly string[]])[] = [
    ['a', ['a', 'a.shop.svc.cluster.local']],
    ['a.b', ['a.b', 'a.b.svc.cluster.local', 'a.b.shop.svc.cluster.local']],
    ['a.b.c', ['a.b.c', 'a.b.c.svc.cluster.local']],
    ['a.b.svc', ['a.b.svc', 'a.b.svc.cluster.local', 'a.b.svc.svc.cluster.local']],
    ['a.b.c.svc', ['a.b.c.svc', 'a.b.c.svc.cluster.local']],
    ['a.b.c.d', ['a.b.c.d']],
    ['a.b.c.d.e', ['a.b.c.d.e']],
    [
      'a.cluster.local',
      [
        'a.cluster.local',
        'a.cluster.local.svc.cluster.local',
        'a > a',
        'a > a.shop.svc.cluster.local',
      ],
    ],
    [
      'www.example.com.shop.svc.cluster.local',
      [
        'www.example.com.shop.svc.cluster.local',
        'www.example.com > www.example.com',
        'www.example.com > www.example.com.svc.cluster.local',
        'www.example.com.shop > www.example.com.shop',
        'www.example.com.shop.svc > www.example.com.shop.svc',
      ],
    ],
  ];
  for (const [name, expected] of cases) {
    it(`tries ${name} in this order`, () => {
      assert.deepEqual(exact(name), expected);
    });
  }

  it('tries wildcards behind each name, the longest first', () => {
    const hostnames = [...nameCandidates('a.b.c.d', CONTEXT)].map(({ hostname }) => hostname);
    assert.deepEqual(hostnames, ['a.b.c.d', '*.b.c.d', '*.c.d', '*.d']);
  });

  it('does not take another namespace’s search domain off', () => {
    const stripped = [...nameCandidates('x.y.other.svc.cluster.local', CONTEXT)].map(
      (candidate) => candidate.stripped,
    );
    assert.ok(!stripped.includes('x.y'));
  });
});
