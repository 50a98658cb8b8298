import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { KubeObject } from '@ambit/kube';

import { loneWaypoints } from './lone-waypoints.ts';
import type { WaypointFacts } from './waypoint-objects.ts';

function facts(name: string, isProgrammed = true): WaypointFacts {
  return {
    namespace: 'shop',
    name,
    revision: 'default',
    trafficType: 'service',
    isProgrammed,
    reason: 'Programmed',
    message: '',
  };
}

function deployment(gateway: string, replicas?: number, name = gateway): KubeObject {
  const labels = { 'gateway.networking.k8s.io/gateway-name': gateway };
  return { metadata: { namespace: 'shop', name, labels }, spec: { replicas } };
}

describe('loneWaypoints', () => {
  const rows: readonly (readonly [string, WaypointFacts, KubeObject, boolean])[] = [
    ['one of one pod', facts('a'), deployment('a', 1), true],
    ['one whose number nobody set', facts('a'), deployment('a'), true],
    ['one of two pods', facts('a'), deployment('a', 2), false],
    ['one that does not run', facts('a', false), deployment('a', 1), false],
    ['one that somebody else runs', facts('a'), deployment('b', 1), false],
  ];
  for (const [what, waypoint, made, isWarned] of rows) {
    it(`${isWarned ? 'warns' : 'says nothing'} of ${what}`, () => {
      assert.equal(loneWaypoints([waypoint], [made]).length, isWarned ? 1 : 0);
    });
  }

  it('says what to do, by the name of the Deployment', () => {
    const [line = ''] = loneWaypoints([facts('a')], [deployment('a', 1, 'front')]);
    assert.match(
      line,
      /^shop\/a has one pod: .*kubectl scale deployment\/front -n shop --replicas=2$/,
    );
  });
});
