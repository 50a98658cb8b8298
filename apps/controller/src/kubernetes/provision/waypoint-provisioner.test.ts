import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { systemClock } from '@ambit/core';
import { FakeClock } from '@ambit/core/testing';
import type { KubeObject } from '@ambit/kube';

import { until } from '../../until.testing.ts';
import { valueAt } from './overlays.ts';
import {
  fakeProvisioning,
  ofGateway,
  onDemand,
  provision,
  specs,
  withParameters,
} from './provision.testing.ts';

const PARTS = ['deployments', 'poddisruptionbudgets', 'serviceaccounts', 'services'];
const WAIT_MS = 60;

function gateway(
  namespace: string,
  annotations: Readonly<Record<string, string>> = {},
): KubeObject {
  return {
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'Gateway',
    metadata: { namespace, name: 'waypoint', annotations },
  };
}

function parameters(data: Readonly<Record<string, string>>, more: object = {}): KubeObject {
  return {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { namespace: 'shop', name: 'parameters', ...more },
    data,
  };
}

describe('WaypointProvisioner', () => {
  it('makes what is wanted, writes nothing twice, and takes it away in the end', async () => {
    await using fake = await fakeProvisioning();
    await using p = provision(fake.context);
    p.provisioner.set(specs(onDemand('shop')));
    await until(() => fake.writes.length === PARTS.length);
    await systemClock.sleep(WAIT_MS);
    p.provisioner.set(specs(onDemand('shop')));
    await systemClock.sleep(WAIT_MS);
    assert.deepEqual(
      fake.writes.toSorted(),
      PARTS.map((resource) => `apply ${resource}/shop/waypoint`),
    );
    p.provisioner.set(specs());
    // A deletion that is not told yet is asked for again.
    const deletions = (): readonly string[] => [...new Set(fake.writes.slice(PARTS.length))];
    await until(() => deletions().length === PARTS.length);
    assert.deepEqual(
      deletions().toSorted(),
      PARTS.map((resource) => `delete ${resource}/shop/waypoint`),
    );
    assert.ok(p.told.includes('shop/waypoint'));
  });

  it('takes away what an earlier process left, only once it knows what is wanted', async () => {
    await using fake = await fakeProvisioning();
    {
      await using p = provision(fake.context);
      p.provisioner.set(specs(onDemand('shop'), onDemand('old')));
      await until(() => fake.writes.length === 2 * PARTS.length);
    }
    await using p = provision(fake.context);
    await systemClock.sleep(WAIT_MS);
    assert.equal(fake.writes.length, 2 * PARTS.length, 'nothing is known yet');
    p.provisioner.set(specs(onDemand('shop')));
    await until(() => fake.server.get('deployments', 'old/waypoint') === undefined);
    assert.notEqual(fake.server.get('deployments', 'shop/waypoint'), undefined);
  });

  it('lets a waypoint outlive its last use, and keeps one that is wanted again meanwhile', async () => {
    const clock = new FakeClock();
    await using fake = await fakeProvisioning(clock);
    await using p = provision(fake.context, 10_000);
    const isThere = (): boolean => fake.server.get('services', 'shop/waypoint') !== undefined;
    p.provisioner.set(specs(onDemand('shop')));
    await until(() => fake.writes.length === PARTS.length);
    p.provisioner.set(specs());
    await systemClock.sleep(WAIT_MS);
    clock.advance(9_000);
    p.provisioner.set(specs(onDemand('shop')));
    await systemClock.sleep(WAIT_MS);
    clock.advance(20_000);
    await systemClock.sleep(WAIT_MS);
    assert.ok(isThere(), 'it was wanted again');
    p.provisioner.set(specs());
    await systemClock.sleep(WAIT_MS);
    assert.ok(isThere(), 'it lingers');
    clock.advance(10_001);
    await until(() => !isThere());
  });

  it('makes parts under the name that the Gateway says, and leaves those of another alone', async () => {
    await using fake = await fakeProvisioning();
    fake.server.put('gateways', gateway('shop'));
    await using p = provision(fake.context);
    const front = ofGateway('shop', { partName: 'front' });
    p.provisioner.set(specs(front));
    const { server } = fake;
    await until(() => server.get('deployments', 'shop/front') !== undefined);
    for (const resource of ['services', 'poddisruptionbudgets']) {
      assert.ok(server.get(resource, 'shop/front'), resource);
    }
    assert.ok(server.get('serviceaccounts', 'shop/waypoint'), 'the account keeps its name');
    // Another Gateway wants the same name.
    const { metadata, ...named } = gateway('shop');
    server.put('gateways', { ...named, metadata: { ...metadata, name: 'other' } });
    const other = ofGateway('shop', { name: 'other', serviceAccount: 'other', partName: 'front' });
    const uid = server.get('services', 'shop/front')?.metadata.uid;
    p.provisioner.set(specs(front, other));
    await until(() => p.provisioner.stateOf('shop/other')?.reason === 'Invalid');
    assert.match(p.provisioner.stateOf('shop/other')?.message ?? '', /name-override/);
    assert.equal(server.get('services', 'shop/front')?.metadata.uid, uid);
    // Under its own name again, what was made under the other goes.
    p.provisioner.set(specs(ofGateway('shop')));
    await until(() => server.get('services', 'shop/waypoint') !== undefined);
    await until(() => server.get('deployments', 'shop/front') === undefined);
  });

  it('writes nothing when its term is over', async () => {
    await using fake = await fakeProvisioning();
    await using p = provision(fake.context);
    p.provisioner.set(specs(onDemand('shop')));
    await until(() => fake.writes.length === PARTS.length);
    await p.resign();
    p.provisioner.set(specs(onDemand('shop'), onDemand('other')));
    fake.server.delete('services', 'shop/waypoint');
    await systemClock.sleep(WAIT_MS);
    assert.equal(fake.writes.length, PARTS.length);
    assert.equal(p.provisioner.stateOf('shop/waypoint'), undefined);
    const again = new AbortController();
    p.provisioner.lead(again.signal);
    await until(() => fake.server.get('services', 'shop/waypoint') !== undefined);
    await until(() => fake.server.get('deployments', 'other/waypoint') !== undefined);
    again.abort();
    await p.provisioner.idle();
  });

  it('goes on with others while one namespace refuses everything', async () => {
    await using fake = await fakeProvisioning();
    fake.refuse = (what) => (what.includes('/broken/') ? 403 : undefined);
    await using p = provision(fake.context);
    p.provisioner.set(specs(onDemand('broken'), onDemand('shop'), onDemand('books')));
    await until(() => fake.writes.length === 2 * PARTS.length);
    const state = p.provisioner.stateOf('broken/waypoint');
    assert.deepEqual([state?.programmed, state?.reason], [false, 'NoResources']);
    fake.refuse = () => undefined;
    await until(() => fake.server.get('deployments', 'broken/waypoint') !== undefined);
    await until(() => p.provisioner.stateOf('broken/waypoint')?.reason !== 'NoResources');
  });

  it('makes the other parts when one is refused', async () => {
    await using fake = await fakeProvisioning();
    fake.refuse = (what) => (what.startsWith('poddisruptionbudgets/') ? 403 : undefined);
    await using p = provision(fake.context);
    p.provisioner.set(specs(onDemand('shop')));
    await until(() => fake.server.get('deployments', 'shop/waypoint') !== undefined);
  });

  it('waits for the Gateway that owns it, and takes the type of its Service from it', async () => {
    await using fake = await fakeProvisioning();
    await using p = provision(fake.context);
    p.provisioner.set(specs(ofGateway('shop')));
    await until(() => p.provisioner.stateOf('shop/waypoint')?.reason === 'Pending');
    assert.equal(fake.writes.length, 0);
    const type = 'networking.istio.io/service-type';
    const { uid } = fake.server.put(
      'gateways',
      gateway('shop', { [type]: 'LoadBalancer' }),
    ).metadata;
    await until(() => fake.writes.length === PARTS.length);
    const service = fake.server.get('services', 'shop/waypoint');
    assert.equal(service?.metadata.ownerReferences?.[0]?.uid, uid);
    assert.equal(valueAt(service, 'spec.type'), 'LoadBalancer');
    fake.server.put('gateways', gateway('shop', { [type]: 'Nope' }));
    await until(() =>
      /service-type.*found "Nope"; allowed: ClusterIP/.test(
        p.provisioner.stateOf('shop/waypoint')?.invalidParameters ?? '',
      ),
    );
  });

  it('uses an account that people chose and made, and no other that is there', async () => {
    await using fake = await fakeProvisioning();
    const account = (name: string): KubeObject => ({
      apiVersion: 'v1',
      kind: 'ServiceAccount',
      metadata: { namespace: 'shop', name },
    });
    fake.server.put('serviceaccounts', account('chosen'));
    fake.server.put('serviceaccounts', account('waypoint'));
    await using p = provision(fake.context);
    p.provisioner.set(specs(onDemand('shop', { serviceAccount: 'chosen' })));
    await until(() => fake.server.get('deployments', 'shop/waypoint') !== undefined);
    assert.ok(!fake.writes.some((write) => write.includes('serviceaccounts')));
    p.provisioner.set(specs(onDemand('shop')));
    await until(() => p.provisioner.stateOf('shop/waypoint')?.reason === 'Invalid');
    assert.ok(!fake.writes.some((write) => write.includes('serviceaccounts')));
    p.provisioner.set(specs());
    await until(() => fake.writes.includes('delete deployments/shop/waypoint'));
    assert.notEqual(fake.server.get('serviceaccounts', 'shop/waypoint'), undefined);
  });

  it('runs nothing as an account of the mesh itself', async () => {
    await using fake = await fakeProvisioning();
    await using p = provision(fake.context);
    const serviceAccount = 'ambit-controller';
    p.provisioner.set(specs(onDemand('istio-system', { serviceAccount })));
    await until(() => p.provisioner.stateOf('istio-system/waypoint')?.reason === 'Invalid');
    const message = p.provisioner.stateOf('istio-system/waypoint')?.message ?? '';
    assert.match(message, /istio-system\/ambit-controller is one of the mesh's own/);
    assert.deepEqual(fake.writes, []);
    p.provisioner.set(specs(onDemand('shop', { serviceAccount })));
    await until(() => fake.server.get('deployments', 'shop/waypoint') !== undefined);
  });

  it('leaves the account of one waypoint to it when another chooses it too', async () => {
    await using fake = await fakeProvisioning();
    await using p = provision(fake.context);
    const first = onDemand('shop');
    const second = onDemand('shop', { name: 'second' });
    const account = () => fake.server.get('serviceaccounts', 'shop/waypoint');
    p.provisioner.set(specs(first));
    await until(() => fake.writes.length === PARTS.length);
    const { uid } = account()?.metadata ?? {};
    p.provisioner.set(specs(first, second));
    await until(() => fake.server.get('deployments', 'shop/second') !== undefined);
    p.provisioner.set(specs(first));
    await until(() => fake.server.get('deployments', 'shop/second') === undefined);
    await systemClock.sleep(WAIT_MS);
    assert.equal(account()?.metadata.uid, uid, 'the one that chose it does not take it along');
    p.provisioner.set(specs(first, second));
    await until(() => fake.server.get('deployments', 'shop/second') !== undefined);
    p.provisioner.set(specs(second));
    await until(() => account() !== undefined && account()?.metadata.uid !== uid);
    assert.notEqual(fake.server.get('deployments', 'shop/second'), undefined);
  });

  it('does not delete what has another owner', async () => {
    await using fake = await fakeProvisioning();
    await using p = provision(fake.context);
    p.provisioner.set(specs(onDemand('shop')));
    await until(() => fake.writes.length === PARTS.length);
    const service = fake.server.get('services', 'shop/waypoint');
    assert.ok(service !== undefined);
    await p.resign();
    const owner = { apiVersion: 'v1', kind: 'Thing', name: 'x', uid: 'y', controller: true };
    fake.server.put('services', {
      ...service,
      metadata: { ...service.metadata, ownerReferences: [owner] },
    });
    await using after = provision(fake.context);
    after.provisioner.set(specs());
    await until(() => fake.server.get('deployments', 'shop/waypoint') === undefined);
    await systemClock.sleep(WAIT_MS);
    assert.notEqual(fake.server.get('services', 'shop/waypoint'), undefined);
  });

  it('stops to put back what somebody changes again and again', async () => {
    await using fake = await fakeProvisioning();
    await using p = provision(fake.context);
    p.provisioner.set(specs(onDemand('shop')));
    await until(() => fake.writes.length === PARTS.length);
    for (let round = 0; round < 30; round += 1) {
      const service = fake.server.get('services', 'shop/waypoint');
      assert.ok(service !== undefined);
      fake.server.put('services', { ...service, spec: { round } });
      await systemClock.sleep(10);
    }
    await until(() =>
      /again and again/.test(p.provisioner.stateOf('shop/waypoint')?.message ?? ''),
    );
    assert.ok(fake.writes.length < PARTS.length + 15, String(fake.writes.length));
  });
});

describe('parameters of waypoints', () => {
  it('are read again when their ConfigMap changes, and the last good ones stay', async () => {
    await using fake = await fakeProvisioning();
    fake.server.put('gateways', gateway('shop'));
    await using p = provision(fake.context);
    const invalid = (): string => p.provisioner.stateOf('shop/waypoint')?.invalidParameters ?? '';
    const replicas = (): unknown =>
      (
        fake.server.get('deployments', 'shop/waypoint')?.['spec'] as
          | { replicas?: unknown }
          | undefined
      )?.replicas;
    p.provisioner.set(specs(ofGateway('shop', withParameters('parameters'))));
    await until(() => /parametersRef names a ConfigMap that is not there/.test(invalid()));
    assert.equal(fake.writes.length, 0, 'nothing was ever good');
    assert.equal(p.provisioner.stateOf('shop/waypoint')?.reason, 'Invalid');
    fake.server.put('configmaps', parameters({ deployment: 'spec: {replicas: 3}' }));
    await until(() => replicas() === 3);
    await until(() => invalid() === '');
    fake.server.put(
      'configmaps',
      parameters({ deployment: 'spec: {selector: {matchLabels: {a: b}}, replicas: 4}' }),
    );
    await until(() => /ConfigMap\/shop\/parameters: deployment\.spec\.selector/.test(invalid()));
    assert.equal(replicas(), 3);
    fake.refuse = (what, _, isDryRun) =>
      isDryRun && what.startsWith('deployments') ? 422 : undefined;
    fake.server.put('configmaps', parameters({ deployment: 'spec: {replicas: -1}' }));
    await until(() => /deployment\.spec\.x is refused: not so/.test(invalid()));
    assert.equal(replicas(), 3);
    fake.server.delete('configmaps', 'shop/parameters');
    await until(() => /not there/.test(invalid()));
    assert.equal(replicas(), 3);
  });

  it('of the class hold for every waypoint of it', async () => {
    await using fake = await fakeProvisioning();
    await using p = provision(fake.context);
    p.provisioner.set(specs(onDemand('shop'), onDemand('books', { className: 'ambit-waypoint' })));
    await until(() => fake.writes.length === 2 * PARTS.length);
    const label = { 'gateway.istio.io/defaults-for-class': 'istio-waypoint' };
    const text = 'metadata: {annotations: {a: b}}';
    fake.server.put('configmaps', {
      ...parameters({ service: text }),
      metadata: { namespace: 'istio-system', name: 'defaults', labels: label },
    });
    const annotation = (namespace: string): string | undefined =>
      fake.server.get('services', `${namespace}/waypoint`)?.metadata.annotations?.['a'];
    await until(() => annotation('shop') === 'b');
    assert.equal(annotation('books'), undefined);
  });
});
