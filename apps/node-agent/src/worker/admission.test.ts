/** What admission knows nothing of, it refuses: no address stands in for one that cannot be read. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { systemClock } from '@ambit/core';
import { silentLogger } from '@ambit/telemetry';

import { admit } from './admission.ts';
import { MeshState } from './mesh-state.ts';
import { policy, workload } from './testing/fixtures.ts';

const LISTENERS = { outbound: 15001, inbound: 15006, hbone: 15008 };
const POD_IP = '10.0.0.2';
const CLIENT = Uint8Array.of(10, 0, 0, 1);

function admissionOf(sourceIp: string) {
  const mesh = new MeshState({
    clusterId: 'Kubernetes',
    network: '',
    clock: systemClock,
    waitMs: 0,
  });
  const local = workload('web', { addresses: [POD_IP], authorizationPolicies: ['shop/deny'] });
  const sourceIps = [{ address: CLIENT, length: 32 }];
  mesh.apply({
    kind: 'resources',
    sequence: 1,
    addresses: { changed: [{ kind: 'workload', workload: local }], removed: [] },
    authorizations: { changed: [policy('deny', 'DENY', { sourceIps })], removed: [] },
  });
  const pod = {
    uid: 'uid-web',
    name: 'web',
    namespace: 'shop',
    serviceAccount: 'web',
    ips: [POD_IP],
    netnsPath: '',
    listeners: LISTENERS,
  };
  const connection = {
    pod,
    local,
    source: { address: sourceIp, port: 4 },
    original: { address: POD_IP, port: 80 },
  };
  return admit(connection, mesh, silentLogger());
}

describe('admission of a connection', () => {
  it('is by the address of the client', () => {
    assert.equal(admissionOf('10.0.0.1').kind, 'refused');
    assert.equal(admissionOf('10.0.0.3').kind, 'admitted');
  });

  for (const source of ['', 'undefined', '10.0.0']) {
    it(`is refused to one of "${source}"`, () => {
      const admission = admissionOf(source);
      assert.ok(admission.kind === 'refused' && admission.status === 400);
      assert.match(admission.error.message, /^no address to judge by: from "/);
    });
  }
});
