import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ADDRESSED_PORT, actionAtPort, atPort } from './addressed-port.ts';
import type { RouteAction } from './route-table.ts';

const action = (port: number): RouteAction => ({
  kind: 'route',
  clusters: [
    {
      weight: 1,
      target: { kind: 'cluster', cluster: { host: 'a', port } },
      headers: { request: [], response: [] },
    },
  ],
  mirrors: [{ cluster: { host: 'b', port }, percentage: 100 }],
});

describe('actionAtPort', () => {
  it('leaves ports that were named', () => {
    const named = action(80);
    assert.equal(actionAtPort(named, 9000), named);
    assert.equal(atPort({ host: 'a', port: 80 }, 9000).port, 80);
  });

  it('fills in the port that was addressed, for shares and mirrors', () => {
    const open = action(ADDRESSED_PORT);
    assert.deepEqual(actionAtPort(open, 9000), action(9000));
    assert.deepEqual(actionAtPort(open, 80), action(80));
    assert.equal(actionAtPort(open, 80), actionAtPort(open, 80), 'made once for a port');
  });
});
