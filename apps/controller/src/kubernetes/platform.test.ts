/** A whole controller as it is put together for a cluster, on an API server in this process. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';

import { systemClock } from '@ambit/core';
import { FakeApiServer, type FakeKind } from '@ambit/kube/testing';
import { createRegistry, LogLevels, silentLogger } from '@ambit/telemetry';

import { parseConfig } from '../config.ts';
import { until } from '../until.testing.ts';
import { Controller } from '../wire.ts';
import { withoutKinds } from './source/source.testing.ts';

const KINDS: readonly FakeKind[] = [
  ...withoutKinds(),
  ...[
    ['', 'secrets', 'Secret'],
    ['', 'serviceaccounts', 'ServiceAccount'],
    ['apps', 'deployments', 'Deployment'],
    ['apps', 'daemonsets', 'DaemonSet'],
    ['coordination.k8s.io', 'leases', 'Lease'],
  ].map(([group = '', resource = '', kind = '']) => ({ group, versions: ['v1'], resource, kind })),
];
const LEASE = 'istio-system/ambit-controller';

let folder: string;
let server: FakeApiServer;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'ambit-platform-'));
  server = new FakeApiServer(KINDS);
  await server.start();
});
afterEach(async () => {
  await server[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
});

function kubeconfig(): string {
  const path = join(folder, 'kubeconfig');
  const entry = { apiVersion: 'v1', kind: 'Config', 'current-context': 'c' };
  const clusters = [{ name: 'c', cluster: { server: server.url } }];
  const users = [{ name: 'c', user: { token: 'fake' } }];
  const contexts = [{ name: 'c', context: { cluster: 'c', user: 'c' } }];
  writeFileSync(path, JSON.stringify({ ...entry, clusters, users, contexts }));
  return path;
}

async function openController(): Promise<Controller> {
  const config = parseConfig({
    AMBIT_CONFIG_SOURCE: 'kubernetes',
    AMBIT_KUBECONFIG: kubeconfig(),
    AMBIT_STATE_DIR: folder,
    AMBIT_XDS_ADDRESS: '127.0.0.1:0',
    AMBIT_METRICS_ADDRESS: 'off',
    AMBIT_STATUS_ADDRESS: 'off',
    AMBIT_ADMIN_ADDRESS: 'off',
    AMBIT_WEBHOOK_ADDRESS: 'off',
    AMBIT_WAYPOINT_IMAGE: 'example/waypoint:1',
    POD_NAME: 'controller-0',
    POD_NAMESPACE: 'istio-system',
  });
  const around = { clock: systemClock, log: silentLogger(), levels: new LogLevels('info') };
  return await Controller.create(config, { ...around, registry: createRegistry() });
}

const holder = (): unknown => {
  const spec = server.get('leases', LEASE)?.['spec'] as { readonly holderIdentity?: string };
  return spec?.holderIdentity;
};

describe('a controller in a cluster', () => {
  it('makes the CA, serves, leads, and gives the lease back when it stops', async () => {
    const controller = await openController();
    try {
      assert.ok((await controller.start()) > 0, 'it listens');
      assert.ok(server.get('secrets', 'istio-system/ambit-ca-secret') !== undefined);
      await until(() => server.get('gatewayclasses', 'istio-waypoint') !== undefined);
      assert.match(String(holder()), /^controller-0_/);
    } finally {
      await controller.stop();
    }
    assert.equal(holder(), '');
    // What was sent before the stop may still arrive.
    await systemClock.sleep(200);
    const { length } = server.requests;
    await systemClock.sleep(200);
    assert.equal(server.requests.length, length, 'nobody asks any more');
  });
});
