import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { parseReview } from './admission-review.ts';
import { judge } from './judge.ts';
import {
  BAD_VIRTUAL_SERVICE as BAD,
  bytesOf,
  VIRTUAL_SERVICE as GOOD,
  type ReviewParts,
  reviewOf,
} from './review.testing.ts';

function judged(object: unknown, parts: ReviewParts = {}) {
  const parsed = parseReview(bytesOf(reviewOf(object, parts)));
  if (parsed.kind === 'error') throw new Error(parsed.message);
  return judge(parsed.request);
}

const inGroup = (group: string, kind: string, spec: unknown) => ({
  apiVersion: `${group}/v1`,
  kind,
  metadata: { name: 'x', namespace: 'shop' },
  spec,
});
const GATEWAY = { group: 'gateway.networking.k8s.io' };
const withMeta = (object: object, metadata: object) => ({
  ...object,
  metadata: { name: 'reviews', namespace: 'shop', ...metadata },
});

const standsIn = (
  namespace: string,
  annotations: object = { 'ambit.io/stand-in': 'true' },
  labels: object = {},
) => ({
  ...inGroup('security.istio.io', 'AuthorizationPolicy', { action: 'DENY', rules: [{}] }),
  metadata: { name: 'x', namespace, annotations, labels },
});

describe('judge', () => {
  const ROWS: readonly (readonly [
    title: string,
    object: unknown,
    parts: ReviewParts,
    says: string,
  ])[] = [
    ['a valid object', GOOD, {}, 'true valid'],
    ['a wrong one', BAD, {}, 'false invalid_resource'],
    ['a wrong change', BAD, { operation: 'UPDATE', oldObject: GOOD }, 'false invalid_resource'],
    [
      'a new label on what is wrong already',
      withMeta(BAD, { labels: { a: 'b' } }),
      { operation: 'UPDATE', oldObject: BAD },
      'true unchanged',
    ],
    [
      'a policy that says that it stands in for one',
      standsIn('shop'),
      { group: 'security.istio.io' },
      'false invalid_resource',
    ],
    [
      'a change of that alone',
      standsIn('shop'),
      { group: 'security.istio.io', operation: 'UPDATE', oldObject: standsIn('shop', {}) },
      'false invalid_resource',
    ],
    [
      'a new label where it was said already',
      standsIn('shop', undefined, { a: 'b' }),
      { group: 'security.istio.io', operation: 'UPDATE', oldObject: standsIn('shop') },
      'true unchanged',
    ],
    [
      'the removal of a finalizer',
      withMeta(BAD, { deletionTimestamp: '2026-01-01T00:00:00Z' }),
      { operation: 'UPDATE', oldObject: GOOD },
      'true deleting',
    ],
    ['a deletion', null, { operation: 'DELETE', oldObject: BAD }, 'true not-checked'],
    ['a connection', BAD, { operation: 'CONNECT' }, 'true not-checked'],
    ['a creation without object', null, {}, 'true not-checked'],
    ['an object of others', { apiVersion: 'v1', kind: 'Pod' }, { group: '' }, 'true foreign'],
    [
      'a kind that is not served',
      inGroup('networking.istio.io', 'Sidecar', { anything: 1 }),
      { resource: 'sidecars' },
      'true valid',
    ],
    [
      'a kind that does not exist',
      inGroup('networking.istio.io', 'VirtualServices', {}),
      {},
      'false invalid_resource',
    ],
    [
      'a name that will be made up',
      withMeta(GOOD, { name: undefined, generateName: 'r-' }),
      {},
      'true valid',
    ],
    ['no name at all', withMeta(GOOD, { name: undefined }), {}, 'false invalid_resource'],
    [
      'a route of another implementation, whatever it says',
      inGroup(GATEWAY.group, 'HTTPRoute', { parentRefs: [{ name: 'edge' }], rules: [{ x: 1 }] }),
      GATEWAY,
      'true foreign',
    ],
    [
      'a gateway of another class',
      inGroup(GATEWAY.group, 'Gateway', { gatewayClassName: 'nginx', x: 1 }),
      GATEWAY,
      'true foreign',
    ],
    [
      'a route of the mesh, with warnings only',
      inGroup(GATEWAY.group, 'HTTPRoute', { parentRefs: [{ kind: 'Service', name: 'a' }], x: 1 }),
      GATEWAY,
      'true valid',
    ],
    ['a spec that is text', { ...GOOD, spec: 'x' }, {}, 'false invalid_resource'],
    ['a spec that is a list', { ...GOOD, spec: [] }, {}, 'false invalid_resource'],
    ['metadata that is text', { ...GOOD, metadata: 'x' }, {}, 'false invalid_resource'],
  ];
  for (const [title, object, parts, says] of ROWS) {
    it(`says ${says} of ${title}`, () => {
      const { allowed, reason } = judged(object, parts);
      assert.equal(`${allowed} ${reason}`, says);
    });
  }

  it('refuses with path, what was found, what is allowed and the fix', () => {
    const { causes } = judged(BAD);
    assert.equal(causes.length, 1);
    assert.equal(causes[0]?.field, 'spec.http[0].timeout');
    assert.match(
      causes[0].message,
      /^spec\.http\[0\]\.timeout is not a duration \(found 5; allowed: .*\)\. Fix: give it a unit: 5s\. \[INVALID_DURATION\]$/,
    );
  });

  it('warns of dialects', () => {
    const spec = { host: 'a', trafficPolicy: { loadBalancer: { simple: 'LEAST_CONN' } } };
    const { allowed, warnings } = judged(inGroup('networking.istio.io', 'DestinationRule', spec));
    assert.equal(allowed, true);
    assert.match(warnings.join('\n'), /LEAST_CONN.*DIALECT_RENAMED/);
  });

  it('says what is wrong with a route of the mesh as a warning', () => {
    const spec = {
      parentRefs: [{ kind: 'Service', name: 'a' }],
      rules: [{ timeouts: { request: 5 } }],
    };
    const { warnings } = judged(inGroup(GATEWAY.group, 'HTTPRoute', spec), GATEWAY);
    assert.match(warnings.join('\n'), /spec\.rules\[0\]\.timeouts\.request/);
  });

  it('completes names with the namespace of the request', () => {
    const { allowed } = judged(withMeta(GOOD, { namespace: undefined }), { namespace: 'n1' });
    assert.equal(allowed, true);
  });
});
