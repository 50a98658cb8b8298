import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { Condition, GatewayStatus } from '@ambit/model';

import { type WaypointParts, withParts } from './waypoint-stanza.ts';

const IP = { type: 'IPAddress', value: '10.0.0.1' } as const;
const NAME = { type: 'Hostname', value: 'w.shop.svc.cluster.local' } as const;

function gateway(
  programmed: Condition['status'],
  reason: string,
  accepted: Condition['status'] = 'True',
): GatewayStatus {
  const condition = (type: string, status: Condition['status'], why: string): Condition => ({
    type,
    status,
    reason: why,
    message: 'of the mesh',
    observedGeneration: 1,
  });
  return {
    conditions: [
      condition('Accepted', accepted, 'Accepted'),
      condition('Programmed', programmed, reason),
    ],
    addresses: [IP, NAME],
    listeners: [],
  };
}

function parts(changes: Partial<WaypointParts> = {}): WaypointParts {
  return { addresses: [], programmed: false, reason: 'NoResources', message: 'quota', ...changes };
}

describe('withParts', () => {
  const WAITING = gateway('False', 'Pending');
  const cases: readonly (readonly [string, GatewayStatus, WaypointParts | undefined, string])[] = [
    ['nothing known', WAITING, undefined, 'Accepted=True/Accepted Programmed=False/Pending'],
    ['a quota', WAITING, parts(), 'Accepted=True/Accepted Programmed=False/NoResources'],
    [
      'parts that run, of which the mesh does not know yet',
      WAITING,
      parts({ programmed: true, reason: 'Programmed' }),
      'Accepted=True/Accepted Programmed=False/Pending',
    ],
    [
      'parts that do not run, of which the mesh knows an instance',
      gateway('True', 'Programmed'),
      parts(),
      'Accepted=True/Accepted Programmed=True/Programmed',
    ],
    [
      'parameters that are not in force',
      gateway('True', 'Programmed'),
      parts({ invalidParameters: 'no ConfigMap' }),
      'Accepted=False/InvalidParameters Programmed=True/Programmed',
    ],
    [
      'a Gateway that is refused anyway',
      gateway('False', 'Invalid', 'False'),
      parts({ invalidParameters: 'no ConfigMap' }),
      'Accepted=False/Accepted Programmed=False/Invalid',
    ],
  ];
  for (const [title, status, known, expected] of cases) {
    it(`says ${expected} of ${title}`, () => {
      const { conditions } = withParts(status, known);
      const said = conditions.map(
        ({ type, status: value, reason }) => `${type}=${value}/${reason}`,
      );
      assert.equal(said.join(' '), expected);
    });
  }

  it('has the addresses from outside, and its name in the cluster', () => {
    const outside = { type: 'IPAddress', value: '192.0.2.1' } as const;
    assert.deepEqual(withParts(WAITING, parts({ addresses: [outside] })).addresses, [
      outside,
      NAME,
    ]);
    assert.deepEqual(withParts(WAITING, parts({ addresses: [NAME] })).addresses, [NAME]);
    assert.deepEqual(withParts(WAITING, parts()).addresses, [IP, NAME]);
  });
});
