import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { systemClock } from '@ambit/core';
import { KubeHttp, type KubeRequest } from './http.ts';
import { until } from './reflector.testing.ts';
import { Reflector } from './reflector.ts';
import type { ReflectorOptions } from './reflector-options.ts';
import { Relay } from './relay.testing.ts';
import type { KubeObject } from './resources.ts';
import { openTestCluster, type TestCluster } from './test-cluster.ts';
import { watchDefinitions } from './watch-definitions.ts';

const CONFIG_MAPS = { group: '', version: 'v1', resource: 'configmaps' };
const DEFINITIONS = {
  group: 'apiextensions.k8s.io',
  version: 'v1',
  resource: 'customresourcedefinitions',
};

let cluster: TestCluster;
before(async () => {
  cluster = await openTestCluster('kube-reflector');
});
after(async () => {
  await cluster[Symbol.asyncDispose]();
});

function configMap(namespace: string, name: string, text = 'x') {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { namespace, name }, data: { text } };
}

interface Followed extends AsyncDisposable {
  readonly reflector: Reflector<KubeObject>;
  readonly told: string[];
}

function follow(
  options: Pick<ReflectorOptions<KubeObject>, 'resource'> & Partial<ReflectorOptions<KubeObject>>,
): Followed {
  const told: string[] = [];
  const reflector = new Reflector<KubeObject>({
    http: cluster.http,
    discovery: cluster.discovery,
    clock: systemClock,
    prune: (object) => object,
    onEvent: (event) =>
      told.push(
        event.kind === 'synced' ? 'synced' : `${event.kind} ${event.key?.split('/').at(-1)}`,
      ),
    ...options,
  });
  reflector.start();
  return { reflector, told, [Symbol.asyncDispose]: async () => await reflector.stop() };
}

describe('Reflector on a real API server', () => {
  it('lists in pages, then follows every change', async () => {
    const namespace = await cluster.namespace();
    for (let i = 0; i < 5; i += 1) {
      await cluster.client.create(CONFIG_MAPS, configMap(namespace, `m${i}`));
    }
    const labels = { fieldSelector: 'metadata.name!=kube-root-ca.crt' };
    const resource = { group: '', resource: 'configmaps', versions: ['v1'] };
    await using f = follow({ resource, namespace, pageSize: 2, ...labels });
    await f.reflector.whenSynced();
    assert.equal(f.reflector.size, 5);
    assert.equal(f.reflector.get(`${namespace}/m1`)?.kind, 'ConfigMap');
    await cluster.client.create(CONFIG_MAPS, configMap(namespace, 'late'));
    await cluster.client.apply(CONFIG_MAPS, configMap(namespace, 'm0', 'changed'), { force: true });
    await cluster.client.delete(CONFIG_MAPS, { namespace, name: 'm1' });
    await until(() => f.told.length >= 9);
    assert.deepEqual(f.told.slice(6), ['added late', 'updated m0', 'deleted m1']);
  });

  it('gets only metadata when that is enough', async () => {
    const namespace = await cluster.namespace();
    await cluster.client.create(CONFIG_MAPS, configMap(namespace, 'm'));
    const resource = { group: '', resource: 'configmaps', versions: ['v1'] };
    await using f = follow({ resource, namespace, metadataOnly: true });
    await f.reflector.whenSynced();
    const object = f.reflector.get(`${namespace}/m`);
    assert.equal(object?.['data'], undefined);
    assert.equal(object?.kind, 'ConfigMap');
    await cluster.client.create(CONFIG_MAPS, configMap(namespace, 'n'));
    await until(() => f.told.includes('added n'));
    assert.equal(f.reflector.get(`${namespace}/n`)?.['data'], undefined);
  });

  it('keeps the world through an outage and learns what happened in it', async () => {
    const namespace = await cluster.namespace();
    await cluster.client.create(CONFIG_MAPS, configMap(namespace, 'stays'));
    await cluster.client.create(CONFIG_MAPS, configMap(namespace, 'goes'));
    await using relay = new Relay(cluster.http.credentials.server);
    await relay.start();
    const credentials = relay.credentialsLike(cluster.http.credentials);
    const http = new KubeHttp({ credentials, clock: systemClock });
    const resource = { group: '', resource: 'configmaps', versions: ['v1'] };
    const backoff = { initialMs: 20, maxMs: 200, jitter: 0.2 };
    await using f = follow({ resource, namespace, http, backoff });
    await f.reflector.whenSynced();
    const world = f.told.length;
    relay.cut();
    await until(() => f.reflector.health().lastError !== undefined);
    await cluster.client.delete(CONFIG_MAPS, { namespace, name: 'goes' });
    await systemClock.sleep(500);
    assert.equal(f.told.length, world);
    assert.equal(f.reflector.health().isSynced, true);
    relay.heal();
    await until(() => f.told.includes('deleted goes'));
    assert.equal(f.reflector.health().lists, 1);
    assert.equal(f.reflector.get(`${namespace}/stays`)?.metadata.name, 'stays');
    http.close();
  });

  it('notices a connection that has died in silence', async () => {
    const namespace = await cluster.namespace();
    await using relay = new Relay(cluster.http.credentials.server);
    await relay.start();
    const credentials = relay.credentialsLike(cluster.http.credentials);
    const http = new KubeHttp({ credentials, clock: systemClock });
    const resource = { group: '', resource: 'configmaps', versions: ['v1'] };
    await using f = follow({ resource, namespace, http, stallMs: 2_000 });
    await f.reflector.whenSynced();
    await systemClock.sleep(300);
    relay.silence();
    await cluster.client.create(CONFIG_MAPS, configMap(namespace, 'unheard'));
    await until(() => f.told.includes('added unheard'));
    assert.equal(f.reflector.health().lists, 1);
    http.close();
  });

  it('goes on from its version after the connection ends', async () => {
    const namespace = await cluster.namespace();
    const resource = { group: '', resource: 'configmaps', versions: ['v1'] };
    // Once only: after two silent watches the version is doubted.
    await using f = follow({ resource, namespace, stallMs: 1_500 });
    await f.reflector.whenSynced();
    await until(() => f.reflector.health().lastError !== undefined);
    await cluster.client.create(CONFIG_MAPS, configMap(namespace, 'after'));
    await until(() => f.told.includes('added after'));
    assert.equal(f.reflector.health().lists, 1);
  });

  it('lists again when the server has forgotten the version', async () => {
    const group = newGroup();
    const definition = widgetDefinition(group);
    await cluster.client.create(DEFINITIONS, definition);
    const gvr = { group, version: 'v1', resource: 'widgets' };
    const resource = { group, resource: 'widgets', versions: ['v1'] };
    cluster.discovery.start();
    void cluster.discovery.refreshSoon();
    const http = new AncientWatch({ credentials: cluster.http.credentials, clock: systemClock });
    await using f = follow({ resource, http, backoff: { initialMs: 10, maxMs: 500, jitter: 0.2 } });
    await until(() => f.reflector.health().lists === 2);
    await cluster.client.create(gvr, widgetIn(group, 'w'));
    await until(() => f.told.includes('added w'));
    assert.equal(http.expired, 1);
    assert.deepEqual(f.told, ['synced', 'added w']);
    await cluster.client.delete(DEFINITIONS, { name: definition.metadata.name });
    http.close();
  });

  it('waits for a kind that is not defined, follows it, and empties when it is removed', async () => {
    const group = newGroup();
    const watching = watchDefinitions(cluster);
    watching.start();
    cluster.discovery.start();
    const resource = { group, resource: 'widgets', versions: ['v1', 'v1beta1'] };
    await using f = follow({ resource });
    await f.reflector.whenSynced();
    assert.equal(f.reflector.health().state, 'absent');
    const definition = widgetDefinition(group);
    await cluster.client.create(DEFINITIONS, definition);
    const gvr = { group, version: 'v1', resource: 'widgets' };
    await until(() => f.reflector.health().state === 'watching');
    assert.equal(f.reflector.health().version, 'v1');
    await cluster.client.create(gvr, widgetIn(group, 'w'));
    await until(() => f.told.includes('added w'));
    await cluster.client.delete(DEFINITIONS, { name: definition.metadata.name });
    await until(() => f.told.includes('deleted w'));
    await until(() => f.reflector.health().state === 'absent');
    await watching.stop();
    assert.equal(f.reflector.size, 0);
  });
});

function newGroup(): string {
  return `g${randomBytes(4).toString('hex')}.test.ambit.io`;
}

function widgetIn(group: string, name: string) {
  const metadata = { namespace: 'default', name };
  return { apiVersion: `${group}/v1`, kind: 'Widget', metadata };
}

/** Asks its first watch for a version that no server has any more. */
class AncientWatch extends KubeHttp {
  expired = 0;

  override async open(request: KubeRequest): ReturnType<KubeHttp['open']> {
    if (request.query?.['watch'] === '1' && this.expired === 0) {
      this.expired += 1;
      return await super.open({ ...request, query: { ...request.query, resourceVersion: '1' } });
    }
    return await super.open(request);
  }
}

function widgetDefinition(group: string) {
  const version = (name: string, isStored: boolean) => ({
    name,
    served: true,
    storage: isStored,
    schema: { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } },
  });
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `widgets.${group}` },
    spec: {
      group,
      scope: 'Namespaced',
      names: { plural: 'widgets', singular: 'widget', kind: 'Widget' },
      versions: [version('v1', true), version('v1beta1', false)],
    },
  };
}
