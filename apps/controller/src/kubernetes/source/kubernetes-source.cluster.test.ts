/** The source on a real API server: with our CRDs, with those of nobody, and with objects that only we refuse. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import {
  type CustomResourceDefinition,
  customResourceDefinitions,
  type MeshObject,
} from '@ambit/api';
import { systemClock } from '@ambit/core';
import { type CreatedObject, createKubeMetrics, isKubeError, type KubeObject } from '@ambit/kube';
import { openTestCluster, type TestCluster } from '@ambit/kube/testing';
import { keyOf } from '@ambit/model';
import { createRegistry, silentLogger } from '@ambit/telemetry';

import { applyCrds, refuseForeignCrds } from '../../crd/crds.testing.ts';
import type { SourceChange } from '../../source/config-source.ts';
import { until } from '../../until.testing.ts';
import type { KubernetesContext } from '../context.ts';
import { KubernetesSource } from './kubernetes-source.ts';
import { LAST_ACCEPTED, LastAccepted } from './last-accepted.ts';

const LATE = 'virtualservices.networking.istio.io';
const PODS = { group: '', version: 'v1', resource: 'pods' };
const POLICIES = {
  group: 'security.istio.io',
  version: 'v1beta1',
  resource: 'authorizationpolicies',
};
const SLICES = { group: 'discovery.k8s.io', version: 'v1', resource: 'endpointslices' };
const DEFINITIONS = {
  group: 'apiextensions.k8s.io',
  version: 'v1',
  resource: 'customresourcedefinitions',
};
const CONFIG_MAPS = { group: '', version: 'v1', resource: 'configmaps' };

let cluster: TestCluster;
let namespace: string;
const crds = customResourceDefinitions();
const named = (name: string): readonly CustomResourceDefinition[] =>
  crds.filter(({ metadata }) => metadata.name === name);

before(async () => {
  cluster = await openTestCluster('source');
  await refuseForeignCrds(cluster);
  if ((await cluster.client.find(DEFINITIONS, { name: LATE })) !== undefined) {
    await cluster.client.delete(DEFINITIONS, { name: LATE });
  }
  await applyCrds(
    cluster,
    crds.filter(({ metadata }) => metadata.name !== LATE),
  );
  namespace = await cluster.namespace();
  cluster.discovery.start();
});
after(async () => {
  await cluster[Symbol.asyncDispose]();
});

async function replica() {
  const { http, client, discovery } = cluster;
  const context: KubernetesContext = {
    http,
    client,
    discovery,
    metrics: createKubeMetrics(createRegistry()),
    clock: systemClock,
    log: silentLogger(),
    namespace,
    podName: 'controller-0',
  };
  const lastAccepted = new LastAccepted(context);
  const source = new KubernetesSource({ context, lastAccepted });
  const objects = new Map<string, MeshObject>();
  const changes: SourceChange[] = [];
  await source.start((change) => {
    changes.push(change);
    for (const key of change.removes) objects.delete(key);
    for (const object of change.upserts) objects.set(keyOf(object), object);
  });
  return {
    source,
    lastAccepted,
    objects,
    changes,
    [Symbol.asyncDispose]: async () => await source.stop(),
  };
}

function policy(spec: object): CreatedObject & KubeObject {
  const metadata = { namespace, name: 'callers' };
  return { apiVersion: 'security.istio.io/v1beta1', kind: 'AuthorizationPolicy', metadata, spec };
}

const allow = (account: string): object => ({
  action: 'ALLOW',
  rules: [{ from: [{ source: { principals: [`cluster.local/ns/a/sa/${account}`] } }] }],
});

describe('KubernetesSource on a real API server', () => {
  it('delivers what is there, then what is made, changed and deleted', async () => {
    await using r = await replica();
    assert.equal(r.changes.length, 1);
    assert.ok(r.objects.has(`Namespace/${namespace}`));
    assert.ok(r.objects.has('Service/default/kubernetes'));
    const metadata = { namespace, name: 'web', labels: { app: 'web' } };
    const containers = [{ name: 'c', image: 'x', ports: [{ name: 'http', containerPort: 80 }] }];
    // Where nobody runs the controllers of Kubernetes.
    const account = {
      apiVersion: 'v1',
      kind: 'ServiceAccount',
      metadata: { namespace, name: 'default' },
    };
    await cluster.client
      .create({ ...PODS, resource: 'serviceaccounts' }, account)
      .catch((error: unknown) => assert.ok(isKubeError(error, 'KUBE_ALREADY_EXISTS')));
    await cluster.client.create(PODS, {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata,
      spec: { containers },
    });
    const key = `Pod/${namespace}/web`;
    await until(() => r.objects.has(key));
    const pod = r.objects.get(key);
    assert.ok(pod?.kind === 'Pod');
    assert.equal(pod.spec.containers[0]?.ports[0]?.containerPort, 80);
    assert.equal(r.source.objectOf(key)?.uid, pod.metadata.uid);
    const patch = { metadata: { labels: { app: 'other' } } };
    await cluster.client.patch(PODS, metadata, { type: 'merge', patch });
    await until(() => r.objects.get(key)?.metadata.labels['app'] === 'other');
    await cluster.client.delete(PODS, metadata);
    await until(() => !r.objects.has(key));
    assert.deepEqual(
      r.changes.flatMap(({ invalid }) => invalid),
      [],
    );
  });

  it('reads slices that nobody makes from selectors, and leaves the others alone', async () => {
    await using r = await replica();
    const slice = async (name: string, labels: Readonly<Record<string, string>>): Promise<void> => {
      await cluster.client.create(SLICES, {
        apiVersion: 'discovery.k8s.io/v1',
        kind: 'EndpointSlice',
        metadata: { namespace, name, labels: { 'kubernetes.io/service-name': 'db', ...labels } },
        addressType: 'IPv4',
        endpoints: [{ addresses: ['192.0.2.1'] }],
        ports: [{ name: 'tcp', port: 5432 }],
      });
    };
    await slice('made', {
      'endpointslice.kubernetes.io/managed-by': 'endpointslice-controller.k8s.io',
    });
    await slice('written', {});
    await until(() => r.objects.has(`EndpointSlice/${namespace}/written`));
    const found = r.objects.get(`EndpointSlice/${namespace}/written`);
    assert.ok(found?.kind === 'EndpointSlice');
    assert.equal(found.endpoints[0]?.ready, true);
    assert.equal(r.objects.has(`EndpointSlice/${namespace}/made`), false);
  });

  it('follows a kind whose definition comes later', async () => {
    await using r = await replica();
    const state = (): string | undefined =>
      r.source.health().find(({ kind }) => kind === 'VirtualService')?.state;
    assert.equal(state(), 'absent');
    await applyCrds(cluster, named(LATE));
    await until(() => state() === 'watching');
    const gvr = { group: 'networking.istio.io', version: 'v1', resource: 'virtualservices' };
    const metadata = { namespace, name: 'late' };
    const http = [{ route: [{ destination: { host: 'a' } }] }];
    const spec = { hosts: ['a'], http };
    const apiVersion = 'networking.istio.io/v1';
    await cluster.client.create(gvr, { apiVersion, kind: 'VirtualService', metadata, spec });
    await until(() => r.objects.has(`VirtualService/${namespace}/late`));
  });

  it('keeps a policy in force while it is broken, over a restart too', async () => {
    const key = `AuthorizationPolicy/${namespace}/callers`;
    const leading = new AbortController();
    {
      await using first = await replica();
      first.lastAccepted.lead(leading.signal);
      await cluster.client.create(POLICIES, policy(allow('web')));
      await until(() => first.objects.has(key));
      // Only we know that this is no principal.
      const rules = [{ from: [{ source: { ipBlocks: ['10.0.0.0/99'] } }] }];
      await cluster.client.apply(POLICIES, policy({ action: 'ALLOW', rules }), { force: true });
      await until(() => first.changes.some(({ invalid }) => invalid.length > 0));
      await until(
        () => first.lastAccepted.of(key, first.source.objectOf(key)?.uid ?? '') !== undefined,
      );
      while (
        (await cluster.client.find(CONFIG_MAPS, { namespace, name: LAST_ACCEPTED })) === undefined
      ) {
        await systemClock.sleep(20);
      }
      leading.abort();
      await first.lastAccepted.idle();
    }
    await using second = await replica();
    assert.equal(second.changes[0]?.invalid[0]?.key, key);
    assert.ok(JSON.stringify(second.objects.get(key)).includes('sa/web'));
    assert.equal(second.source.objectOf(key)?.gvr.resource, 'authorizationpolicies');
    await cluster.client.apply(POLICIES, policy(allow('other')), { force: true });
    await until(() => JSON.stringify(second.objects.get(key)).includes('sa/other'));
  });
});
