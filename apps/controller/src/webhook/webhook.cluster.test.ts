/**
 * The webhook behind a real API server. The server has to reach a port of this machine, so the test
 * brings one up for itself, whatever $KUBECONFIG says.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { customResourceDefinitions } from '@ambit/api';
import { systemClock } from '@ambit/core';
import { isKubeError, type KubeObject } from '@ambit/kube';
import { openTestCluster, type TestCluster } from '@ambit/kube/testing';

import { applyCrds, type JsonObject, resourceOf, store } from '../crd/crds.testing.ts';
import { until } from '../until.testing.ts';
import { openTestAuthority, openTestWebhook } from './https.testing.ts';
import { threadSpawner } from './validator-thread.ts';
import { webhookConfiguration } from './webhook-configuration.ts';
import { WorkerValidator } from './worker-validator.ts';

const CONFIGURATIONS = {
  group: 'admissionregistration.k8s.io',
  version: 'v1',
  resource: 'validatingwebhookconfigurations',
};
const NAMESPACES = { group: '', version: 'v1', resource: 'namespaces' };
/** For the API server to take up a new configuration. */

let cluster: TestCluster;
let webhook: Awaited<ReturnType<typeof openTestWebhook>>;
let namespace: string;

const route = [{ destination: { host: 'a' } }];
const vs = (http: JsonObject, metadata: JsonObject = {}): JsonObject => ({
  apiVersion: 'networking.istio.io/v1',
  kind: 'VirtualService',
  metadata: { name: 'x', ...metadata },
  spec: { hosts: ['a'], http: [{ route, ...http }] },
});
/** Only we know that this is no field. */
const BAD = vs({ tmeout: '5s' });

async function configure(options: { readonly port?: number; readonly ca?: string } = {}) {
  const configuration = webhookConfiguration({
    rootNamespace: 'istio-system',
    revision: 'default',
    isDefaultRevision: true,
    rootBundlePem: options.ca ?? webhook.rootBundlePem,
    target: { kind: 'url', url: `https://127.0.0.1:${options.port ?? webhook.port}` },
  });
  await cluster.client.apply(CONFIGURATIONS, configuration as unknown as KubeObject, {
    force: true,
  });
}

async function isRefused(object: JsonObject, where = namespace): Promise<boolean> {
  try {
    await store(cluster, where, object);
    return false;
  } catch (error) {
    if (!isKubeError(error, 'KUBE_INVALID')) throw error;
    assert.match(error.message, /admission webhook/);
    return true;
  }
}

before(async () => {
  cluster = await openTestCluster('webhook', { isOwn: true });
  await applyCrds(cluster, customResourceDefinitions());
  namespace = await cluster.namespace();
  const spawn = threadSpawner(new URL('./endless-worker.testing.ts', import.meta.url));
  webhook = await openTestWebhook(new WorkerValidator({ clock: systemClock, spawn }));
  await configure();
  await until(() => isRefused(BAD), 'the webhook is asked');
});
after(async () => {
  await webhook.close();
  await cluster[Symbol.asyncDispose]();
});

describe('the webhook behind an API server', () => {
  it('refuses with path, what is allowed and the fix', async () => {
    await assert.rejects(store(cluster, namespace, BAD), (error) => {
      assert.ok(isKubeError(error, 'KUBE_INVALID'));
      const [cause] = error.causes;
      assert.equal(cause?.field, 'spec.http[0].tmeout');
      assert.match(cause.message, /is not a field.*allowed: name, match.*did you mean timeout\?/);
      return true;
    });
  });

  it('lets through what is valid, and warns of a dialect', async () => {
    const spec = { host: 'a', trafficPolicy: { loadBalancer: { simple: 'LEAST_CONN' } } };
    const { apiVersion } = resourceOf('DestinationRule');
    await store(cluster, namespace, { apiVersion, kind: 'DestinationRule', metadata: {}, spec });
    const line = webhook.lines.findLast((each) => each.includes('destinationrules')) ?? '';
    assert.match(line, /"allowed":true.*"warnings":[1-9]/);
  });

  it('is asked on a dry run too, in every version', async () => {
    for (const version of ['v1', 'v1beta1', 'v1alpha3']) {
      const object = { ...BAD, apiVersion: `networking.istio.io/${version}` };
      assert.equal(await isRefused(object), true, version);
    }
    const { apiVersion, ...resource } = resourceOf('VirtualService');
    const dry = { apiVersion, kind: 'VirtualService', metadata: { name: 'dry', namespace } };
    await assert.rejects(
      cluster.client.create(resource, { ...dry, spec: BAD['spec'] }, { isDryRun: true }),
      (error) => isKubeError(error, 'KUBE_INVALID'),
    );
  });

  it('is not asked about another revision, nor in system namespaces', async () => {
    assert.equal(
      await isRefused(vs({ tmeout: '5s' }, { labels: { 'istio.io/rev': 'old' } })),
      false,
    );
    assert.equal(
      await isRefused(vs({ tmeout: '5s' }, { labels: { 'istio.io/rev': 'default' } })),
      true,
    );
    assert.equal(await isRefused(BAD, 'kube-system'), false);
  });

  it('refuses an object that takes too long, and serves another namespace meanwhile', async () => {
    const other = await cluster.namespace();
    const slow = isRefused(vs({ name: 'endless' }));
    assert.equal(await isRefused(BAD, other), true);
    await store(cluster, other, vs({}));
    assert.equal(await slow, true);
  });

  it('lets labels and finalizers of what is wrong already be changed', async () => {
    const finalizers = ['ambit.io/test'];
    const metadata = { labels: { 'istio.io/rev': 'old' }, finalizers };
    const stored = await store(cluster, namespace, vs({ tmeout: '5s' }, metadata));
    const { name } = stored['metadata'] as { readonly name: string };
    const resource = resourceOf('VirtualService');
    const patch = (change: unknown) =>
      cluster.client.patch(resource, { namespace, name }, { type: 'merge', patch: change });
    // Now it is ours, with all that is wrong with it.
    await patch({ metadata: { labels: { 'istio.io/rev': null } } });
    await patch({ metadata: { labels: { a: 'b' } } });
    await assert.rejects(patch({ spec: { hots: ['b'] } }), (error) =>
      isKubeError(error, 'KUBE_INVALID'),
    );
    await cluster.client.delete(resource, { namespace, name });
    await patch({ metadata: { finalizers: null } });
    assert.equal(await cluster.client.find(resource, { namespace, name }), undefined);
  });

  it('leaves everything else of the API alone', async () => {
    await cluster.client.create(NAMESPACES, {
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name: `${namespace}-2` },
    });
  });

  it('serves on with a new certificate', async () => {
    webhook.tls.use(webhook.issue());
    assert.equal(await isRefused(BAD), true);
  });

  it('follows a new root, when the bundle has both', async () => {
    const next = await openTestAuthority();
    try {
      await configure({ ca: `${webhook.rootBundlePem}\n${next.authority.rootBundlePem}` });
      webhook.tls.use(next.issue());
      await until(() => isRefused(BAD), 'the new root is trusted');
    } finally {
      next.close();
    }
  });

  it('blocks nobody while it is away', async () => {
    await configure({ port: 1 });
    await until(async () => !(await isRefused(BAD)), 'objects pass');
  });
});
