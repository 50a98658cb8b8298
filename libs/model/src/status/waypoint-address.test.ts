/** What a Gateway says of a waypoint that callers cannot find, and who carries a label that names none. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { MeshObject } from '@ambit/api';

import { AMBIENT, L7_ALLOW, REVIEWS, REVIEWS_SERVICE } from '../mesh.testing.ts';
import { modelOf, namespace, parsed, pod, service } from '../objects.testing.ts';

const AT = '10.0.0.9';
const EXTERNAL = parsed({
  apiVersion: 'gateway.networking.k8s.io/v1',
  kind: 'Gateway',
  metadata: { name: 'w', namespace: 'shop' },
  spec: {
    gatewayClassName: 'istio-waypoint',
    addresses: [{ type: 'IPAddress', value: AT }],
    listeners: [{ name: 'mesh', port: 15008, protocol: 'HBONE' }],
  },
});

describe('a Gateway with addresses', () => {
  const cases: readonly (readonly [string, readonly MeshObject[], string, RegExp | undefined])[] = [
    ['nothing is there', [], 'False AddressNotFound', /serviceAccount w$/],
    [
      'a pod of the host network is there',
      [pod('w', AT, { account: 'w', hostNetwork: true })],
      'False HostNetwork',
      /without hostNetwork/,
    ],
    [
      'another account is there',
      [pod('w', AT, { account: 'other' })],
      'False WrongServiceAccount',
      /gateway\.istio\.io\/service-account/,
    ],
    ['the waypoint is there', [pod('w', AT, { account: 'w' })], 'True Programmed', undefined],
    ['a service is there', [service('any', AT)], 'True Programmed', undefined],
  ];
  for (const [title, objects, expected, fix] of cases) {
    it(`says ${expected} when ${title}`, () => {
      const status = modelOf(AMBIENT, EXTERNAL, ...objects).outputs.statuses.get('Gateway/shop/w');
      const found = status?.conditions.find(({ type }) => type === 'Programmed');
      assert.equal(`${found?.status} ${found?.reason}`, expected);
      const [finding] = status?.findings ?? [];
      if (fix === undefined) assert.equal(finding, undefined);
      else assert.match(finding?.fix ?? '', fix);
    });
  }
});

describe('a label that names a waypoint which is not there', () => {
  const label = { 'istio.io/use-waypoint': 'nobody' };
  const carriers: readonly (readonly [string, MeshObject])[] = [
    ['Namespace/shop', namespace('shop', label)],
    [
      'Service/shop/a',
      parsed({
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { name: 'a', namespace: 'shop', labels: label },
        spec: { clusterIPs: ['10.1.0.7'], ports: [{ port: 80 }] },
      }),
    ],
    ['Pod/shop/b', pod('b', '10.0.0.2', { labels: label })],
  ];
  for (const [key, object] of carriers) {
    it(`is told of by ${key}`, () => {
      const status = modelOf(object).outputs.statuses.get(key);
      const found = status?.conditions.find(({ type }) => type === 'WaypointReady');
      assert.equal(`${found?.status} ${found?.reason}`, 'False WaypointNotFound');
      assert.match(
        status?.findings[0]?.message ?? '',
        /Gateway shop\/nobody, which does not exist/,
      );
      assert.match(
        status?.findings[0]?.fix ?? '',
        /apply a Gateway "nobody" of class istio-waypoint/,
      );
    });
  }

  it('is no matter once something makes the waypoint of that name', () => {
    const space = namespace('shop', {
      'istio.io/dataplane-mode': 'ambient',
      'istio.io/use-waypoint': 'waypoint',
    });
    const findings = (...objects: readonly MeshObject[]): number =>
      modelOf(space, ...objects).outputs.statuses.get('Namespace/shop')?.findings.length ?? 0;
    assert.equal(findings(), 1);
    assert.equal(findings(REVIEWS, REVIEWS_SERVICE, L7_ALLOW), 0);
  });
});
