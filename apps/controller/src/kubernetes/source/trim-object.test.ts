/** What somebody reads of an object is left of it. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { trimObject } from './trim-object.ts';

describe('trimObject', () => {
  const rows: readonly (readonly [string, string, boolean])[] = [
    ['Namespace', 'ambit.io/waypoint-fallback', true],
    ['Namespace', 'networking.istio.io/traffic-distribution', true],
    ['Namespace', 'example.com/of-others', false],
    ['Service', 'ambit.io/waypoint-fallback', true],
    ['Gateway', 'ambient.istio.io/waypoint-inbound-binding', true],
    ['GatewayClass', 'ambient.istio.io/waypoint-inbound-binding', true],
    ['Pod', 'ambient.istio.io/bypass-inbound-capture', true],
    ['Pod', 'example.com/of-others', false],
    ['Gateway', 'kubectl.kubernetes.io/last-applied-configuration', false],
  ];
  for (const [kind, annotation, isLeft] of rows) {
    it(`${isLeft ? 'leaves' : 'drops'} ${annotation} of a ${kind}`, () => {
      const metadata = { name: 'a', annotations: { [annotation]: 'said' } };
      const trimmed = trimObject({ apiVersion: 'v1', kind, metadata });
      const { annotations } = trimmed['metadata'] as { readonly annotations?: object };
      assert.deepEqual(annotations ?? {}, isLeft ? { [annotation]: 'said' } : {});
    });
  }
});
