import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type MeshObject, parseObject } from '@ambit/api';
import type { Condition } from '../types.ts';
import type { AdminObject } from './admin-types.ts';
import { meshSummary, SUMMARY_NAMESPACES_MAX, SUMMARY_OBJECTS_MAX } from './mesh-summary.ts';

function namespace(name: string, conditions: readonly Condition[] = []): AdminObject {
  const labels = { 'istio.io/dataplane-mode': 'ambient' };
  const given = { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } };
  const key = `Namespace/${name}`;
  return { key, object: objectOf(given), status: { key, conditions, findings: [] } };
}

function objectOf(given: object): MeshObject {
  const { object, findings } = parseObject(given);
  assert.ok(object !== undefined, JSON.stringify(findings));
  return object;
}

const FINE: Condition = {
  ...{ type: 'Accepted', status: 'True', reason: 'Accepted', message: '' },
  observedGeneration: 0,
};
const NOT: Condition = { ...FINE, status: 'False', reason: 'Invalid', message: 'spec is bad' };
const WAITS: Condition = {
  ...{ type: 'Enforced', status: 'Unknown', reason: 'Waiting', message: 'for n1' },
  observedGeneration: 0,
};
const BYPASSED: Condition = { ...FINE, type: 'Bypassed', reason: 'BreakGlass', message: 'by me' };

function policy(name: string, ...conditions: readonly Condition[]): AdminObject {
  const key = `AuthorizationPolicy/shop/${name}`;
  return { key, status: { key, conditions, findings: [] } };
}

describe('meshSummary', () => {
  for (const [title, entry, expected] of [
    ['refused', policy('a', NOT, WAITS), ['refused', 'Invalid', 'spec is bad']],
    ['not in force', policy('a', FINE, WAITS), ['not-enforced', 'Waiting', 'for n1']],
    [
      'in force as it was before',
      {
        ...policy('a', FINE, { ...WAITS, status: 'True' }),
        object: objectOf({
          apiVersion: 'security.istio.io/v1',
          kind: 'AuthorizationPolicy',
          metadata: { name: 'a', namespace: 'shop', generation: 2 },
        }),
      },
      ['not-enforced', 'Pending', 'generation 2 is not counted yet; True is of generation 0'],
    ],
    [
      'said at length',
      policy('a', { ...NOT, message: 'x'.repeat(5_000) }),
      ['refused', 'Invalid', `${'x'.repeat(1_000)}…`],
    ],
  ] as const) {
    it(`says what is ${title}`, () => {
      const [state, reason, message] = expected;
      const { troubled, kinds } = meshSummary([entry], []);
      assert.deepEqual(troubled, [{ key: entry.key, state, reason, message }]);
      assert.deepEqual(kinds, { AuthorizationPolicy: 1 });
    });
  }

  it('says nothing of objects of which nothing is said, or nothing bad', () => {
    const entries = [policy('a'), policy('b', FINE), { key: 'Node/n1' }];
    assert.deepEqual(meshSummary(entries, []), {
      kinds: { AuthorizationPolicy: 2, Node: 1 },
      namespaces: [],
      troubled: [],
      more: { namespaces: 0, troubledNamespaces: 0, troubled: 0 },
    });
  });

  it('names so many objects, refused ones first, and counts the others', () => {
    const waiting = Array.from({ length: 1_000 }, (_, i) => policy(`a${i}`, FINE, WAITS));
    const { troubled, more } = meshSummary([...waiting, policy('z', NOT)], []);
    assert.equal(troubled.length, SUMMARY_OBJECTS_MAX + 1);
    assert.equal(troubled[0]?.key, 'AuthorizationPolicy/shop/z');
    assert.equal(more.troubled, 1_000 - SUMMARY_OBJECTS_MAX);
  });

  it('leaves out no namespace with a fault for one without', () => {
    const names = Array.from({ length: SUMMARY_NAMESPACES_MAX + 3 }, (_, i) =>
      String(i).padStart(5, '0'),
    );
    const fine = names.map((name) => namespace(name));
    const one = meshSummary([...fine, namespace('zz', [BYPASSED])], []);
    assert.equal(one.namespaces.length, SUMMARY_NAMESPACES_MAX);
    assert.equal(one.namespaces.at(-1)?.bypassed, 'by me');
    assert.deepEqual([one.more.namespaces, one.more.troubledNamespaces], [4, 0]);
    const all = meshSummary(
      names.map((name) => namespace(name, [BYPASSED])),
      [],
    );
    assert.deepEqual([all.more.namespaces, all.more.troubledNamespaces], [3, 3]);
  });
});
