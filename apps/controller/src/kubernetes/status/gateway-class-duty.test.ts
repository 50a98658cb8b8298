import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { systemClock } from '@ambit/core';
import type { KubeObject } from '@ambit/kube';
import { GATEWAY_CONTROLLER } from '@ambit/model';
import { until } from '../../until.testing.ts';
import { fakeCluster } from '../context.testing.ts';
import { GatewayClassDuty } from './gateway-class-duty.ts';

const CLASSES = {
  group: 'gateway.networking.k8s.io',
  versions: ['v1'],
  resource: 'gatewayclasses',
  kind: 'GatewayClass',
};
const DEFINITIONS = {
  group: 'apiextensions.k8s.io',
  versions: ['v1'],
  resource: 'customresourcedefinitions',
  kind: 'CustomResourceDefinition',
};

async function rig(kinds = [CLASSES, DEFINITIONS]) {
  const { server, context, ...rest } = await fakeCluster(kinds);
  server.put('customresourcedefinitions', {
    metadata: {
      name: 'gatewayclasses.gateway.networking.k8s.io',
      annotations: { 'gateway.networking.k8s.io/bundle-version': 'v1.4.0' },
    },
  });
  const duty = new GatewayClassDuty({ context });
  const term = new AbortController();
  return {
    server,
    duty,
    term,
    put(name: string, controllerName: string, more: object = {}): void {
      const metadata = { name, generation: 2 };
      server.put('gatewayclasses', { metadata, spec: { controllerName, ...more } } as KubeObject);
    },
    conditions(name: string): readonly string[] {
      const status = server.get('gatewayclasses', name)?.['status'] as
        | { readonly conditions: readonly Readonly<Record<string, unknown>>[] }
        | undefined;
      return (status?.conditions ?? []).map(
        ({ type, status: value, reason, observedGeneration }) =>
          `${String(type)}=${String(value)} ${String(reason)} ${String(observedGeneration)}`,
      );
    },
    async [Symbol.asyncDispose]() {
      term.abort();
      await duty.idle();
      await rest[Symbol.asyncDispose]();
    },
  };
}

describe('GatewayClassDuty', () => {
  it('makes the classes of waypoints and says what they can do', async () => {
    await using bed = await rig();
    bed.duty.lead(bed.term.signal);
    for (const name of ['istio-waypoint', 'ambit-waypoint']) {
      await until(() => bed.conditions(name).length === 2);
      const found = bed.server.get('gatewayclasses', name);
      assert.ok(found);
      const { controllerName } = found['spec'] as { readonly controllerName: string };
      assert.equal(controllerName, GATEWAY_CONTROLLER);
      const labels = found.metadata.labels ?? {};
      assert.equal(labels['app.kubernetes.io/managed-by'], 'ambit-controller');
      const status = found['status'] as { readonly supportedFeatures: readonly object[] };
      assert.ok(status.supportedFeatures.length > 10);
    }
    const writes = (): number =>
      bed.server.requests.filter(({ method }) => method !== 'GET').length;
    assert.equal(writes(), 4);
    await systemClock.sleep(50);
    assert.equal(writes(), 4, 'its own writes are no reason to write');
  });

  it('follows the generation of a class', async () => {
    await using bed = await rig();
    bed.put('ambit-waypoint', GATEWAY_CONTROLLER);
    bed.duty.lead(bed.term.signal);
    const expected = ['Accepted=True Accepted 2', 'SupportedVersion=True SupportedVersion 2'];
    await until(() => bed.conditions('ambit-waypoint').length === 2);
    assert.deepEqual(bed.conditions('ambit-waypoint'), expected);
  });

  it('refuses parameters, and classes that nobody serves', async () => {
    await using bed = await rig();
    bed.put('ambit-waypoint', GATEWAY_CONTROLLER, { parametersRef: { name: 'x' } });
    bed.put('mine', GATEWAY_CONTROLLER);
    bed.duty.lead(bed.term.signal);
    await until(
      () => bed.conditions('ambit-waypoint').length + bed.conditions('mine').length === 4,
    );
    assert.equal(bed.conditions('ambit-waypoint')[0], 'Accepted=False InvalidParameters 2');
    assert.equal(bed.conditions('mine')[0], 'Accepted=False Unsupported 2');
  });

  it('leaves the classes of other controllers alone, also of our name', async () => {
    await using bed = await rig();
    bed.put('istio-waypoint', 'istio.io/mesh-controller');
    bed.put('other', 'example.com/x');
    bed.duty.lead(bed.term.signal);
    await until(() => bed.conditions('ambit-waypoint').length === 2);
    await systemClock.sleep(30);
    assert.deepEqual([...bed.conditions('istio-waypoint'), ...bed.conditions('other')], []);
  });

  it('waits where Gateway API is not installed, and writes nothing after its term', async () => {
    await using bed = await rig([DEFINITIONS]);
    bed.duty.lead(bed.term.signal);
    await systemClock.sleep(50);
    bed.term.abort();
    await bed.duty.idle();
    assert.ok(bed.server.requests.every(({ method }) => method === 'GET'));
  });
});
