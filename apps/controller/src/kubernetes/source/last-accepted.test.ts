import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { KubeObject } from '@ambit/kube';
import { fail } from '@ambit/kube/testing';
import { until } from '../../until.testing.ts';
import { LAST_ACCEPTED } from './last-accepted.ts';
import { brokenPolicy, FollowedCluster, namespaced, policy } from './source.testing.ts';

const POLICY = 'AuthorizationPolicy/shop/callers';
const PLACE = `istio-system/${LAST_ACCEPTED}`;

function kept(cluster: FollowedCluster): readonly KubeObject[] | undefined {
  const data = cluster.server.get('configmaps', PLACE)?.['data'];
  return data && JSON.parse((data as Record<string, string>)['objects.json'] ?? '');
}

const names = (cluster: FollowedCluster): readonly string[] | undefined =>
  kept(cluster)?.map(({ metadata }) => metadata.name);

/** A cluster in which a policy was accepted and then broken, and what was in force was kept. */
async function withBrokenPolicy(): Promise<FollowedCluster> {
  const cluster = await new FollowedCluster().start();
  cluster.put(policy());
  const first = cluster.replica();
  const leading = new AbortController();
  await first.started;
  first.lastAccepted.lead(leading.signal);
  cluster.put(brokenPolicy());
  await until(() => names(cluster)?.[0] === 'callers');
  leading.abort();
  await first.lastAccepted.idle();
  await first.stop();
  return cluster;
}

describe('LastAccepted', () => {
  it('opens nothing by a restart while an edit is broken', async () => {
    await using cluster = await withBrokenPolicy();
    const second = cluster.replica();
    await second.started;
    const inForce = second.inForce().get(POLICY);
    assert.ok(JSON.stringify(inForce).includes('sa/web'));
    assert.equal(second.changes[0]?.invalid[0]?.key, POLICY);
    assert.equal(inForce?.metadata.annotations['ambit.io/stand-in'], undefined);
  });

  it('keeps the entry over restarts, and takes it away when the object is right or gone', async () => {
    for (const end of ['right', 'gone']) {
      await using cluster = await withBrokenPolicy();
      const second = cluster.replica();
      const leading = new AbortController();
      second.lastAccepted.lead(leading.signal);
      await second.started;
      cluster.put({ ...brokenPolicy(), spec: { rulez: [] } });
      await until(() => second.changes.length > 1);
      assert.deepEqual(names(cluster), ['callers']);
      if (end === 'right') cluster.put(policy('other'));
      else cluster.delete('AuthorizationPolicy', 'shop/callers');
      await until(() => names(cluster)?.length === 0);
      leading.abort();
      await second.lastAccepted.idle();
    }
  });

  it('says nothing of another incarnation of the name', async () => {
    await using cluster = await withBrokenPolicy();
    cluster.delete('AuthorizationPolicy', 'shop/callers');
    cluster.put(brokenPolicy());
    const second = cluster.replica();
    await second.started;
    assert.equal(second.inForce().get(POLICY)?.metadata.annotations['ambit.io/stand-in'], 'true');
  });

  it('writes on no replica but the leader, and nothing where nothing is refused', async () => {
    await using cluster = await new FollowedCluster().start();
    cluster.put(policy());
    const follower = cluster.replica();
    const leader = cluster.replica();
    await Promise.all([follower.started, leader.started]);
    const leading = new AbortController();
    leader.lastAccepted.lead(leading.signal);
    await until(() =>
      cluster.server.requests.some(({ url }) => url.pathname.includes('configmaps')),
    );
    leading.abort();
    await leader.lastAccepted.idle();
    cluster.put(brokenPolicy());
    await until(() => leader.changes.length > 1 && follower.changes.length > 1);
    const writes = cluster.server.requests.filter(({ method }) => method !== 'GET');
    assert.deepEqual(writes, []);
  });

  it('lets a leader that came too late learn what the one before it kept', async () => {
    await using cluster = await new FollowedCluster().start();
    cluster.put(policy());
    const first = cluster.replica();
    await first.started;
    cluster.put(brokenPolicy());
    await until(() => first.changes.length > 1);
    const late = cluster.replica();
    await late.started;
    assert.equal(late.inForce().get(POLICY)?.metadata.annotations['ambit.io/stand-in'], 'true');
    const leading = new AbortController();
    first.lastAccepted.lead(leading.signal);
    await until(() => names(cluster)?.length === 1);
    leading.abort();
    await first.stop();
    const next = new AbortController();
    late.lastAccepted.lead(next.signal);
    await until(() => JSON.stringify(late.inForce().get(POLICY)).includes('sa/web'));
    assert.equal(names(cluster)?.length, 1);
    next.abort();
    await late.lastAccepted.idle();
  });

  it('tries again what another writer, or nobody, let through, and ends with the lease', async () => {
    await using cluster = await new FollowedCluster().start();
    cluster.put(policy());
    const { started, lastAccepted, changes } = cluster.replica();
    await started;
    cluster.put(brokenPolicy());
    await until(() => changes.length > 1);
    let refusals = 2;
    cluster.server.intercept = ({ method }, response) => {
      if (method !== 'POST' || refusals === 0) return false;
      refusals -= 1;
      fail(response, refusals === 1 ? 409 : 503, 'Conflict');
      return true;
    };
    const leading = new AbortController();
    lastAccepted.lead(leading.signal);
    await until(() => names(cluster)?.[0] === 'callers');
    leading.abort();
    await lastAccepted.idle();
    const before = cluster.server.requests.length;
    cluster.put(policy());
    await until(() => changes.length > 2);
    await lastAccepted.idle();
    const writes = cluster.server.requests.slice(before).filter(({ method }) => method !== 'GET');
    assert.deepEqual(writes, []);
    assert.deepEqual(names(cluster), ['callers']);
    const again = new AbortController();
    lastAccepted.lead(again.signal);
    await until(() => names(cluster)?.length === 0);
    again.abort();
    await lastAccepted.idle();
  });

  it('keeps within its bound what refuses, and says what it left out', async () => {
    await using cluster = await new FollowedCluster().start();
    const route = (name: string, http: unknown): KubeObject =>
      namespaced('VirtualService', name, { hosts: ['a'], http });
    const good = [{ route: [{ destination: { host: 'a' } }] }];
    for (let n = 0; n < 10; n += 1) cluster.put(route(`a${n}`, good));
    cluster.put(policy());
    const { started, lastAccepted, changes } = cluster.replica({ keptBytesMax: 2_000 });
    await started;
    for (let n = 0; n < 10; n += 1) cluster.put(route(`a${n}`, [{ tmeout: 1 }]));
    cluster.put(brokenPolicy());
    await until(() => changes.flatMap(({ invalid }) => invalid).length === 11);
    const leading = new AbortController();
    lastAccepted.lead(leading.signal);
    await until(() => names(cluster) !== undefined);
    assert.equal(names(cluster)?.[0], 'callers');
    assert.equal(lastAccepted.leftOut, 11 - (names(cluster)?.length ?? 0));
    assert.ok(lastAccepted.leftOut > 0);
    const data = cluster.server.get('configmaps', PLACE)?.['data'] as Record<string, string>;
    assert.ok((data['objects.json'] ?? '').length <= 2_000);
    leading.abort();
    await lastAccepted.idle();
  });

  it('keeps what was in force of an edit that cannot be used', async () => {
    await using cluster = await new FollowedCluster().start();
    cluster.put(policy());
    const first = cluster.replica({ unusable: 'sa/odd' });
    const leading = new AbortController();
    await first.started;
    first.lastAccepted.lead(leading.signal);
    cluster.put(policy('odd'));
    await until(() => names(cluster)?.[0] === 'callers');
    leading.abort();
    await first.stop();
    const second = cluster.replica({ unusable: 'sa/odd' });
    await second.started;
    assert.ok(JSON.stringify(second.inForce().get(POLICY)).includes('sa/web'));
    const next = new AbortController();
    second.lastAccepted.lead(next.signal);
    cluster.put(policy('right'));
    await until(() => names(cluster)?.length === 0);
    next.abort();
    await second.lastAccepted.idle();
  });

  it('keeps what was in force of an object that becomes invalid after an edit that cannot be used', async () => {
    for (const isAtOnce of [false, true]) {
      await using cluster = await new FollowedCluster().start();
      const options = { unusable: 'sa/odd' };
      cluster.put(policy());
      const first = cluster.replica(options);
      const leading = new AbortController();
      await first.started;
      cluster.put(policy('odd'));
      if (!isAtOnce) await until(() => first.changes.length > 1);
      cluster.put(brokenPolicy());
      await until(() => first.changes.at(-1)?.invalid[0]?.findings[0]?.code !== 'OBJECT_UNUSABLE');
      cluster.put(brokenPolicy({ rulez: [{}] }));
      const seen = first.changes.length;
      await until(() => first.changes.length > seen);
      assert.ok(JSON.stringify(first.inForce().get(POLICY)).includes('sa/web'));
      first.lastAccepted.lead(leading.signal);
      await until(() => names(cluster)?.[0] === 'callers');
      assert.ok(JSON.stringify(kept(cluster)).includes('sa/web'), JSON.stringify(kept(cluster)));
      leading.abort();
      await first.stop();
      const second = cluster.replica(options);
      await second.started;
      assert.ok(JSON.stringify(second.inForce().get(POLICY)).includes('sa/web'));
    }
  });

  it('remembers nothing of an object that was never in force', async () => {
    await using cluster = await new FollowedCluster().start();
    const first = cluster.replica({ unusable: 'sa/odd' });
    await first.started;
    cluster.put(policy('odd'));
    await until(() => first.changes.length > 1);
    cluster.put(brokenPolicy());
    await until(() => first.changes.at(-1)?.invalid[0]?.findings[0]?.code !== 'OBJECT_UNUSABLE');
    const leading = new AbortController();
    first.lastAccepted.lead(leading.signal);
    await until(() =>
      cluster.server.requests.some(({ url }) => url.pathname.includes('configmaps')),
    );
    leading.abort();
    await first.lastAccepted.idle();
    assert.equal(
      first.lastAccepted.of(POLICY, first.inForce().get(POLICY)?.metadata.uid ?? ''),
      undefined,
    );
    assert.equal(first.inForce().get(POLICY)?.metadata.annotations['ambit.io/stand-in'], 'true');
  });

  it('lets no namespace push out what others keep', async () => {
    await using cluster = await new FollowedCluster().start();
    const quiet = (object: KubeObject): KubeObject => ({
      ...object,
      metadata: { ...object.metadata, namespace: 'zoo' },
    });
    const flood = (n: number, object: KubeObject): KubeObject => ({
      ...object,
      metadata: { ...object.metadata, name: `p${n}` },
    });
    for (let n = 0; n < 20; n += 1) cluster.put(flood(n, policy()));
    cluster.put(quiet(policy()));
    const { started, lastAccepted, changes } = cluster.replica({ keptBytesMax: 3_000 });
    await started;
    for (let n = 0; n < 20; n += 1) cluster.put(flood(n, brokenPolicy()));
    cluster.put(quiet(brokenPolicy()));
    await until(() => changes.flatMap(({ invalid }) => invalid).length === 21);
    const leading = new AbortController();
    lastAccepted.lead(leading.signal);
    await until(() => names(cluster) !== undefined);
    const all = kept(cluster)?.map(({ metadata }) => metadata.namespace) ?? [];
    assert.equal(all.filter((namespace) => namespace === 'zoo').length, 1);
    assert.ok(all.length > 2, 'what is free is used');
    assert.equal(lastAccepted.leftOut, 21 - all.length);
    leading.abort();
    await lastAccepted.idle();
  });

  it('serves nothing before it could be read, and takes no harm from what is no JSON', async () => {
    await using cluster = await new FollowedCluster().start();
    const metadata = { namespace: 'istio-system', name: LAST_ACCEPTED };
    cluster.server.put('configmaps', { metadata, data: { 'objects.json': '[{"kind"' } });
    let isDown = true;
    cluster.server.intercept = ({ url }, response) => {
      if (!isDown || !url.pathname.includes('/configmaps')) return false;
      fail(response, 503, 'ServiceUnavailable');
      return true;
    };
    const replica = cluster.replica();
    await until(() => replica.problems.length > 0);
    assert.match(replica.problems[0] ?? '', /accepted last cannot be read: .*503/);
    assert.equal(replica.changes.length, 0);
    isDown = false;
    await replica.started;
    assert.equal(replica.changes.length, 1);
    assert.deepEqual(replica.problems, []);
  });
});
