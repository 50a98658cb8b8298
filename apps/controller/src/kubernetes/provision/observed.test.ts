import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { type Observed, observedOf, type StateInput, stateFrom } from './observed.ts';

const ADDRESS: Observed = { addresses: [{ type: 'IPAddress', value: '10.0.0.1' }] };
const READY: Observed = { readyPods: 2 };

function state(more: Partial<StateInput>): ReturnType<typeof stateFrom> {
  return stateFrom({
    namespace: 'shop',
    serviceName: 'waypoint',
    clusterDomain: 'cluster.local',
    addressType: 'IPAddress',
    observed: [ADDRESS, READY],
    outcome: undefined,
    invalidParameters: undefined,
    ...more,
  });
}

describe('stateFrom', () => {
  const rows: readonly (readonly [string, Partial<StateInput>, string, RegExp])[] = [
    ['address and pods', {}, 'Programmed', /2 pods are ready/],
    ['no pods', { observed: [ADDRESS] }, 'Pending', /no pod/],
    ['no address', { observed: [READY] }, 'AddressNotAssigned', /no address/],
    ['nothing', { observed: [] }, 'AddressNotAssigned', /no address/],
    ['a quota', { observed: [ADDRESS, { failure: 'exceeded quota' }] }, 'NoResources', /quota/],
    [
      'a foreign part',
      { outcome: { reason: 'Invalid', message: 'foreign' } },
      'Invalid',
      /foreign/,
    ],
    [
      'a write that failed while pods run',
      { outcome: { reason: 'Pending', message: 'no answer' } },
      'Programmed',
      /no answer/,
    ],
    [
      'parameters that were never good',
      { observed: [], invalidParameters: 'no such key' },
      'Invalid',
      /no such key/,
    ],
    ['parameters after good ones', { invalidParameters: 'no such key' }, 'Programmed', /ready/],
  ];
  for (const [what, more, reason, message] of rows) {
    it(`says ${reason} of ${what}`, () => {
      const said = state(more);
      assert.equal(said.reason, reason);
      assert.equal(said.programmed, reason === 'Programmed');
      assert.match(said.message, message);
      assert.equal(said.invalidParameters, more.invalidParameters);
    });
  }

  it('shows the name where the Gateway asks for it', () => {
    assert.deepEqual(state({ addressType: 'Hostname' }).addresses, [
      { type: 'Hostname', value: 'waypoint.shop.svc.cluster.local' },
    ]);
    assert.deepEqual(state({ addressType: 'Hostname', observed: [] }).addresses, []);
  });
});

describe('observedOf', () => {
  it('reads addresses of a Service, those for the outside first', () => {
    const metadata = { name: 'waypoint' };
    const spec = { clusterIPs: ['10.0.0.1', 'fd00::1'] };
    assert.deepEqual(observedOf('service', { metadata, spec }).addresses, [
      { type: 'IPAddress', value: '10.0.0.1' },
      { type: 'IPAddress', value: 'fd00::1' },
    ]);
    const status = {
      loadBalancer: { ingress: [{ hostname: 'lb.example.com' }, { ip: '1.2.3.4' }] },
    };
    assert.deepEqual(observedOf('service', { metadata, spec, status }).addresses, [
      { type: 'Hostname', value: 'lb.example.com' },
      { type: 'IPAddress', value: '1.2.3.4' },
    ]);
    for (const odd of [{}, { clusterIPs: ['None'] }, { clusterIPs: 7 }]) {
      assert.deepEqual(observedOf('service', { metadata, spec: odd }).addresses, []);
    }
  });

  it('reads ready pods of a Deployment, and why there are none', () => {
    const metadata = { name: 'waypoint' };
    const conditions = [{ type: 'ReplicaFailure', status: 'True', message: 'exceeded quota' }];
    assert.deepEqual(observedOf('deployment', { metadata, status: { conditions } }), {
      readyPods: 0,
      failure: 'exceeded quota',
    });
    assert.deepEqual(observedOf('deployment', { metadata, status: { readyReplicas: 3 } }), {
      readyPods: 3,
    });
  });
});
