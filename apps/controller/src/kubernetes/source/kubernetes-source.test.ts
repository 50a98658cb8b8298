/** What the source delivers of a cluster, from its start on, whatever the server has and says. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { AuthorizationPolicy, MeshObject } from '@ambit/api';
import type { KubeObject } from '@ambit/kube';
import { fail } from '@ambit/kube/testing';
import { until } from '../../until.testing.ts';
import { KubernetesSource } from './kubernetes-source.ts';
import {
  FollowedCluster,
  namespaced,
  pod,
  policy,
  route,
  sourceOptions,
  withoutKinds,
} from './source.testing.ts';

const POLICY = 'AuthorizationPolicy/shop/callers';
const SHOP = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop' } };

function specOf(object: MeshObject | undefined): AuthorizationPolicy['spec'] | undefined {
  return object?.kind === 'AuthorizationPolicy' ? object.spec : undefined;
}

describe('KubernetesSource at its start', () => {
  it('delivers everything as one change', async () => {
    await using cluster = await new FollowedCluster().start();
    cluster.put(SHOP);
    cluster.put(policy());
    cluster.put(pod('a', '10.0.0.1'));
    cluster.put(route('reviews'));
    const { started, changes, source, inForce } = cluster.replica();
    await started;
    assert.equal(changes.length, 1);
    assert.deepEqual([...inForce().keys()].sort(), [
      POLICY,
      'Namespace/shop',
      'Pod/shop/a',
      'VirtualService/shop/reviews',
    ]);
    assert.deepEqual(
      source.health().flatMap(({ lastError }) => lastError ?? []),
      [],
    );
  });

  it('fails where the first change cannot be taken, and goes on where a later one cannot', async () => {
    await using cluster = await new FollowedCluster().start();
    cluster.put(SHOP);
    const { source, started } = cluster.replica();
    await started;
    const again = new KubernetesSource(sourceOptions(cluster));
    await assert.rejects(
      again.start(() => {
        throw new Error('no room');
      }),
      /no room/,
    );
    await again.stop();
    await source.stop();
    let taken = 0;
    const third = new KubernetesSource(sourceOptions(cluster));
    await third.start(() => {
      taken += 1;
      if (taken === 2) throw new Error('no room');
    });
    cluster.put(route('a'));
    await until(() => taken === 2);
    cluster.put(route('b'));
    await until(() => taken === 3);
    await third.stop();
  });

  it('delivers an empty cluster too', async () => {
    await using cluster = await new FollowedCluster().start();
    const { started, changes } = cluster.replica();
    await started;
    const nothing = { upserts: [], removes: [], invalid: [], notes: [], unsupported: [] };
    assert.deepEqual(changes, [nothing]);
  });

  it('delivers nothing before every kind was read, and says which could not be', async () => {
    await using cluster = await new FollowedCluster().start();
    cluster.put(pod('a', '10.0.0.1'));
    let isForbidden = true;
    cluster.server.intercept = ({ url }, response) => {
      if (!isForbidden || !url.pathname.endsWith('/authorizationpolicies')) return false;
      fail(response, 403, 'Forbidden');
      return true;
    };
    const replica = cluster.replica();
    await until(() => replica.problems.length > 0);
    assert.match(
      replica.problems.join(),
      /^authorizationpolicies\.security\.istio\.io cannot be read: .*403 Forbidden/,
    );
    assert.equal(replica.changes.length, 0);
    isForbidden = false;
    await replica.started;
    assert.ok(replica.inForce().has('Pod/shop/a'));
    assert.deepEqual(replica.problems, []);
  });

  it('waits for nobody where a kind that is not served cannot be read', async () => {
    await using cluster = await new FollowedCluster().start();
    cluster.server.intercept = ({ url }, response) => {
      if (!url.pathname.endsWith('/listenersets')) return false;
      fail(response, 403, 'Forbidden');
      return true;
    };
    const replica = cluster.replica();
    await replica.started;
    await until(() => replica.problems.some((problem) => problem.startsWith('listenersets')));
  });

  it('ends when it is stopped before, twice too', async () => {
    await using cluster = await new FollowedCluster().start();
    cluster.server.intercept = (_request, response) => {
      fail(response, 503, 'ServiceUnavailable');
      return true;
    };
    const { source, started, changes } = cluster.replica();
    await Promise.all([source.stop(), source.stop()]);
    await started;
    await source.stop();
    assert.equal(changes.length, 0);
  });
});

describe('KubernetesSource of a kind that is not there', () => {
  it('starts without it and delivers its objects when it comes', async () => {
    await using cluster = await new FollowedCluster(withoutKinds('virtualservices')).start();
    const { started, inForce, source, problems } = cluster.replica();
    await started;
    assert.deepEqual(problems, []);
    const state = (): string | undefined =>
      source.health().find(({ kind }) => kind === 'VirtualService')?.state;
    assert.equal(state(), 'absent');
    cluster.server.setKinds(withoutKinds());
    cluster.put(route('reviews'));
    await until(() => inForce().has('VirtualService/shop/reviews'));
  });
});

describe('KubernetesSource while it follows', () => {
  it('delivers what comes, changes and goes', async () => {
    await using cluster = await new FollowedCluster().start();
    const { started, changes, inForce } = cluster.replica();
    await started;
    cluster.put(policy());
    await until(() => inForce().has(POLICY));
    cluster.put(policy('other'));
    await until(() => JSON.stringify(specOf(inForce().get(POLICY))).includes('sa/other'));
    cluster.delete('AuthorizationPolicy', 'shop/callers');
    await until(() => !inForce().has(POLICY));
    assert.deepEqual(changes.at(-1)?.removes, [POLICY]);
  });

  it('says nothing of a change that nobody reads', async () => {
    await using cluster = await new FollowedCluster().start();
    cluster.put(pod('a', '10.0.0.1'));
    const { started, changes, inForce } = cluster.replica();
    await started;
    const { metadata, ...rest } = pod('a', '10.0.0.1');
    cluster.put({ ...rest, metadata: { ...metadata, finalizers: ['x'], generation: 7 } });
    cluster.put(pod('b', '10.0.0.2'));
    await until(() => inForce().has('Pod/shop/b'));
    assert.deepEqual(
      changes.slice(1).flatMap(({ upserts }) => upserts.map(nameOf)),
      ['b'],
    );
  });

  it('tells of a kind that is not served, and of its going', async () => {
    await using cluster = await new FollowedCluster().start();
    const { started, changes } = cluster.replica();
    await started;
    cluster.put({ ...namespaced('EnvoyFilter', 'x', { anything: 'at all' }) });
    await until(() => changes.some(({ unsupported }) => unsupported.length > 0));
    const [told] = changes.flatMap(({ unsupported }) => unsupported);
    assert.equal(told?.key, 'EnvoyFilter/shop/x');
    assert.match(told?.message ?? '', /there is no Envoy here/);
    cluster.delete('EnvoyFilter', 'shop/x');
    await until(() => changes.at(-1)?.removes.includes('EnvoyFilter/shop/x') === true);
  });

  it('loses nothing over a list after a gap, and sees what went meanwhile', async () => {
    await using cluster = await new FollowedCluster().start();
    for (const name of ['a', 'b', 'c']) cluster.put(route(name));
    const { started, changes, inForce } = cluster.replica();
    await started;
    await until(() => cluster.server.watchCount > 10);
    cluster.server.deleteSilently('virtualservices', 'shop/a');
    const gone = { type: 'ERROR', object: { kind: 'Status', code: 410 } };
    cluster.server.send('virtualservices', `${JSON.stringify(gone)}\n`);
    await until(() => inForce().size === 2);
    assert.deepEqual(
      changes.slice(1).flatMap(({ removes }) => removes),
      ['VirtualService/shop/a'],
    );
    assert.deepEqual(
      changes.slice(1).flatMap(({ upserts }) => upserts),
      [],
    );
  });

  it('says where an object is', async () => {
    await using cluster = await new FollowedCluster().start();
    const stored = cluster.put(policy());
    const { metadata, ...rest } = brokenRoute();
    cluster.put({ ...rest, metadata: { ...metadata, generation: 7 } });
    const { started, source } = cluster.replica();
    await started;
    assert.deepEqual(source.objectOf(POLICY), {
      kind: 'AuthorizationPolicy',
      gvr: { group: 'security.istio.io', version: 'v1', resource: 'authorizationpolicies' },
      ref: { namespace: 'shop', name: 'callers' },
      uid: stored.metadata.uid,
      resourceVersion: stored.metadata.resourceVersion,
      generation: 0,
    });
    const refused = source.objectOf('VirtualService/shop/broken');
    assert.deepEqual([refused?.ref.name, refused?.generation], ['broken', 7]);
    for (const key of ['VirtualService/shop/none', 'Secret/shop/x', '']) {
      assert.equal(source.objectOf(key), undefined, key);
    }
  });
});

describe('KubernetesSource of EndpointSlices', () => {
  it('asks only for those that the cluster does not make from selectors', async () => {
    await using cluster = await new FollowedCluster().start();
    cluster.put({
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: {
        namespace: 'default',
        name: 'kubernetes',
        labels: { 'kubernetes.io/service-name': 'kubernetes' },
      },
      addressType: 'IPv4',
      endpoints: [{ addresses: ['10.90.0.1'], conditions: { ready: true }, zone: 'z' }],
      ports: [{ name: 'https', port: 6443, protocol: 'TCP' }],
    });
    const { started, inForce } = cluster.replica();
    await started;
    const found = inForce().get('EndpointSlice/default/kubernetes');
    assert.ok(found?.kind === 'EndpointSlice');
    assert.deepEqual(found.endpoints, [{ addresses: ['10.90.0.1'], ready: true, nodeName: '' }]);
    const asked = cluster.server.requests.filter(({ url }) =>
      url.pathname.endsWith('/endpointslices'),
    );
    assert.ok(asked.length > 0);
    for (const { url } of asked) {
      assert.match(
        url.searchParams.get('labelSelector') ?? '',
        /managed-by!=endpointslice-controller\.k8s\.io/,
      );
    }
  });
});

function brokenRoute(): KubeObject {
  return namespaced('VirtualService', 'broken', { hosts: ['a'], http: [{ tmeout: '1s' }] });
}

function nameOf({ metadata }: MeshObject): string {
  return metadata.name;
}
