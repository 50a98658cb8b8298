import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { namedApart, proxyVersions, versionOfProxy } from './proxy-versions.ts';

const WAYPOINT = { kind: 'waypoint', name: 'shop/waypoint', connectedSinceMs: 1 } as const;
const idOf = (pod: string): string => `waypoint~10.0.0.9~${pod}.shop~shop.svc.cluster.local`;

describe('proxyVersions', () => {
  const old = { ...WAYPOINT, id: idOf('old'), version: '0.1.0' };
  const young = { ...WAYPOINT, id: idOf('young'), version: '0.3.0' };
  for (const [title, admins, streams, expected] of [
    ['two pods of one waypoint, in either order', [], [young, old], ['old 0.1.0', 'young 0.3.0']],
    ['the same', [], [old, young], ['old 0.1.0', 'young 0.3.0']],
    [
      'one that says nothing beside one that does',
      [
        { ...WAYPOINT, pod: 'shop/mute', version: '0.1.0' },
        { ...WAYPOINT, pod: 'shop/young', version: 'latest' },
      ],
      [young, { ...WAYPOINT, id: idOf('mute') }],
      ['mute 0.1.0', 'young 0.3.0'],
    ],
    [
      'two that say nothing',
      [
        { ...WAYPOINT, pod: 'shop/a', version: '0.1.0' },
        { ...WAYPOINT, pod: 'shop/b', version: '0.3.0' },
      ],
      [],
      ['a 0.1.0', 'b 0.3.0'],
    ],
    [
      'one pod at two replicas, by its last stream',
      [],
      [
        { ...young, connectedSinceMs: 2 },
        { ...young, version: '0.2.0' },
      ],
      ['young 0.3.0'],
    ],
    [
      'a pod with dots in its name',
      [{ ...WAYPOINT, pod: 'shop/a.b', version: 'latest' }],
      [{ ...young, id: idOf('a.b') }],
      ['a.b 0.3.0'],
    ],
    ['a tag where nobody knows the pod', [{ ...WAYPOINT, version: '0.1.0' }], [], ['- 0.1.0']],
    ['no tag of what speaks', [{ ...WAYPOINT, version: 'latest' }], [young], ['young 0.3.0']],
  ] as const) {
    it(`counts ${title}`, () => {
      const found = proxyVersions(admins, streams);
      assert.deepEqual(
        found.map(({ pod = '-', version }) => `${pod.replace('shop/', '')} ${version}`),
        expected,
      );
    });
  }

  it('names the pod where the name is not enough, and finds the version of each row', () => {
    const versions = proxyVersions(
      [{ ...WAYPOINT, pod: 'shop/mute', version: '0.2.0' }],
      [old, { ...young, name: 'shop/other' }],
    );
    assert.deepEqual(
      namedApart(versions).map(({ name }) => name),
      ['shop/other', 'shop/waypoint (pod shop/mute)', 'shop/waypoint (pod shop/old)'].toSorted(),
    );
    assert.equal(versionOfProxy({ ...WAYPOINT, id: idOf('mute') }, versions), '0.2.0');
    assert.equal(versionOfProxy({ ...WAYPOINT, id: 'Pod/shop/old' }, versions), '0.1.0');
    assert.equal(versionOfProxy({ ...WAYPOINT, id: idOf('unknown') }, versions), undefined);
  });
});
