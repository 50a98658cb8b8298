import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { ObjectStatus } from '@ambit/model';
import { isBoundElsewhere, waypointBound } from './own-conditions.ts';

const statusWith = (reason: string): ObjectStatus => ({
  key: 'Service/shop/web',
  conditions: [
    { type: 'WaypointReady', status: 'False', reason, message: '', observedGeneration: 1 },
  ],
  findings: [],
});

describe('what is said of the waypoint of a service', () => {
  it('is left to the mesh whose waypoint it is', () => {
    const foreign = statusWith('WaypointForeign');
    assert.equal(isBoundElsewhere(foreign), true);
    assert.equal(waypointBound(foreign), undefined);
  });

  it('is said of ours, and of one that is not there', () => {
    for (const [reason, said] of [
      ['WaypointNotReady', 'WaypointIsNotReady'],
      ['WaypointNotFound', 'WaypointNotFound'],
    ] as const) {
      assert.equal(isBoundElsewhere(statusWith(reason)), false);
      assert.equal(waypointBound(statusWith(reason))?.reason, said);
    }
  });
});
