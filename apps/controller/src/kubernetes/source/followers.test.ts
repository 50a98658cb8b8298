import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { MeshObject } from '@ambit/api';
import type { KubeObject, ReflectorEvent } from '@ambit/kube';

import { until } from '../../until.testing.ts';
import { FOLLOWED_KINDS } from './followed-kinds.ts';
import { Followers } from './followers.ts';
import type { ReadObject } from './read-object.ts';
import { FollowedCluster, pod } from './source.testing.ts';

type Told = Extract<ReflectorEvent<ReadObject>, { readonly kind: 'added' | 'updated' }>;

describe('Followers', () => {
  // A kubelet writes of each pod what nobody here reads; each time it would be held once more.
  it('hold the object that was told before where nothing that is read has changed', async () => {
    await using cluster = await new FollowedCluster().start();
    cluster.put(pod('a', '10.0.0.1'));
    const { context } = cluster.replica();
    const told: Told[] = [];
    const followers = new Followers({
      context,
      kinds: FOLLOWED_KINDS.filter(({ kind }) => kind === 'Pod'),
      onEvent: (_, event) => {
        if (event.kind === 'added' || event.kind === 'updated') told.push(event);
      },
      lastAccepted: () => undefined,
      before: (_, read) => read,
    });
    await using _stopped = { [Symbol.asyncDispose]: () => followers.stop() };
    followers.start();
    await followers.whenRead();
    await until(() => cluster.server.watchCount > 0);
    const written = pod('a', '10.0.0.1');
    const status = { ...(written['status'] as object), startTime: '2026-01-31T12:00:00Z' };
    const stored = cluster.put({ ...written, status } as KubeObject);
    await until(() => told.length === 2);
    const objectAt = (at: number): MeshObject | undefined => {
      const read = told[at]?.object;
      return read?.kind === 'accepted' ? read.object : undefined;
    };
    assert.equal(objectAt(0)?.kind, 'Pod');
    assert.equal(objectAt(1), objectAt(0));
    const known = followers.objectOf('Pod/shop/a');
    assert.equal(known?.resourceVersion, stored.metadata.resourceVersion);
    cluster.put(pod('a', '10.0.0.2'));
    await until(() => told.length === 3);
    assert.notEqual(objectAt(2), objectAt(0));
  });
});
