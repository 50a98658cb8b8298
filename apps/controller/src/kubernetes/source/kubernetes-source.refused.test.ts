/** What the source makes of objects that are refused: the accepted version stays, and no other is held up. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { AuthorizationPolicy, MeshObject } from '@ambit/api';
import type { KubeObject } from '@ambit/kube';
import { until } from '../../until.testing.ts';
import { brokenPolicy, FollowedCluster, namespaced, pod, policy, route } from './source.testing.ts';

const POLICY = 'AuthorizationPolicy/shop/callers';

function specOf(object: MeshObject | undefined): AuthorizationPolicy['spec'] | undefined {
  return object?.kind === 'AuthorizationPolicy' ? object.spec : undefined;
}

describe('KubernetesSource with objects that are refused', () => {
  it('keeps the accepted version in force, until the object is right or gone', async () => {
    await using cluster = await new FollowedCluster().start();
    cluster.put(policy());
    const { started, changes, inForce } = cluster.replica();
    await started;
    const accepted = inForce().get(POLICY);
    cluster.put(brokenPolicy());
    await until(() => changes.some(({ invalid }) => invalid.length > 0));
    const [refused] = changes.flatMap(({ invalid }) => invalid);
    assert.equal(refused?.key, POLICY);
    assert.match(JSON.stringify(refused?.findings), /spec\.rulez/);
    assert.deepEqual(inForce().get(POLICY), accepted);
    cluster.delete('AuthorizationPolicy', 'shop/callers');
    await until(() => !inForce().has(POLICY));
  });

  it('holds up no other object by one that is refused, malformed or odd', async () => {
    await using cluster = await new FollowedCluster().start();
    cluster.put(brokenRoute());
    cluster.put({ apiVersion: 'v1', kind: 'Pod', metadata: { namespace: 'shop', name: 'odd' } });
    cluster.put({ ...pod('odd2', '1'), spec: { containers: 'none', hostNetwork: 7 } });
    cluster.put({
      ...pod('odd3', '1'),
      metadata: { namespace: 'shop', name: 'odd3', labels: 5, annotations: 'a' },
    } as unknown as KubeObject);
    cluster.put(pod('a', '10.0.0.1'));
    const { started, changes, inForce } = cluster.replica();
    await started;
    assert.deepEqual([...inForce().keys()], ['Pod/shop/a']);
    const refused = changes.flatMap(({ invalid }) => invalid.map(({ key }) => key));
    assert.deepEqual([...refused].sort(), [
      'Pod/shop/odd',
      'Pod/shop/odd2',
      'Pod/shop/odd3',
      'VirtualService/shop/broken',
    ]);
    await until(() => cluster.server.watchCount > 10);
    const huge = {
      ...route('huge'),
      metadata: { namespace: 'shop', name: 'huge', labels: { x: 'x'.repeat(5_000_000) } },
    };
    cluster.put(huge);
    cluster.put(route('after'));
    await until(() => inForce().has('VirtualService/shop/after'));
    const said = changes.flatMap(({ invalid }) => invalid).find(({ key }) => key.endsWith('huge'));
    assert.match(said?.findings[0]?.message ?? '', /cannot be read: .*bytes, at most/);
  });

  it('takes back that an object cannot be read when it is again what it was, or gone', async () => {
    await using cluster = await new FollowedCluster().start();
    const huge = { namespace: 'shop', name: 'callers', labels: { x: 'x'.repeat(5_000_000) } };
    const refusals = (): number => changes.flatMap(({ invalid }) => invalid).length;
    cluster.put(policy());
    const { started, changes, inForce } = cluster.replica();
    await started;
    const accepted = inForce().get(POLICY);
    await until(() => cluster.server.watchCount > 10);
    cluster.put({ ...policy(), metadata: huge });
    await until(() => refusals() === 1);
    assert.equal(inForce().get(POLICY), accepted);
    const refused = changes.length;
    cluster.put(policy());
    await until(() => changes.length > refused);
    assert.deepEqual(changes.at(-1)?.upserts, [accepted]);
    cluster.put({ ...route('huge'), metadata: { ...huge, name: 'huge' } });
    await until(() => refusals() === 2);
    cluster.delete('VirtualService', 'shop/huge');
    await until(() => changes.at(-1)?.removes.includes('VirtualService/shop/huge') === true);
  });

  it('lets a policy that was never right refuse what it could refuse', async () => {
    await using cluster = await new FollowedCluster().start();
    cluster.put(brokenPolicy({ selector: { matchLabels: { app: 'reviews' } } }));
    const { started, changes, inForce } = cluster.replica();
    await started;
    const standIn = inForce().get(POLICY);
    assert.deepEqual(specOf(standIn)?.rules, []);
    assert.equal(specOf(standIn)?.action, 'ALLOW');
    assert.deepEqual(specOf(standIn)?.selector, { matchLabels: { app: 'reviews' } });
    assert.equal(changes[0]?.invalid[0]?.key, POLICY);
    cluster.put(brokenPolicy({ action: 'AUDIT' }));
    await until(() => !inForce().has(POLICY));
    assert.equal(changes.at(-1)?.invalid[0]?.key, POLICY);
    cluster.put(brokenPolicy({ action: 'DENY' }));
    await until(() => specOf(inForce().get(POLICY))?.action === 'DENY');
    cluster.put(policy());
    await until(() => JSON.stringify(specOf(inForce().get(POLICY))).includes('sa/web'));
    assert.deepEqual(inForce().get(POLICY)?.metadata.annotations, {});
  });

  it('takes nothing over from an object that was deleted', async () => {
    await using cluster = await new FollowedCluster().start();
    cluster.put(route('reviews'));
    const { started, changes, inForce } = cluster.replica();
    await started;
    cluster.delete('VirtualService', 'shop/reviews');
    cluster.put({ ...brokenRoute(), metadata: { namespace: 'shop', name: 'reviews' } });
    await until(() => changes.some(({ invalid }) => invalid.length > 0));
    assert.equal(inForce().size, 0);
  });
});

function brokenRoute(): KubeObject {
  return namespaced('VirtualService', 'broken', { hosts: ['a'], http: [{ tmeout: '1s' }] });
}
