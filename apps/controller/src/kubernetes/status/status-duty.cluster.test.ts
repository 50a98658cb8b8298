/** Statuses on a real API server: what its schemas take, and what of others stays. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { customResourceDefinitions } from '@ambit/api';
import { systemClock } from '@ambit/core';
import type { GroupVersionResource, KubeObject } from '@ambit/kube';
import { openTestCluster, type TestCluster } from '@ambit/kube/testing';
import { type Condition, type ObjectStatus, splitKey } from '@ambit/model';

import { applyCrds, refuseForeignCrds } from '../../crd/crds.testing.ts';
import { until } from '../../until.testing.ts';
import { contextOf } from '../context.testing.ts';
import { StatusDuty, type StatusTarget } from './status-duty.ts';

const POLICIES = { group: 'security.istio.io', version: 'v1', resource: 'authorizationpolicies' };
const SERVICES = { group: '', version: 'v1', resource: 'services' };
const BY_KIND: Readonly<Record<string, GroupVersionResource>> = {
  AuthorizationPolicy: POLICIES,
  Service: SERVICES,
};
const PORTS = [{ port: 80 }];

let cluster: TestCluster;
let namespace: string;
before(async () => {
  cluster = await openTestCluster('status');
  await refuseForeignCrds(cluster);
  await applyCrds(cluster, customResourceDefinitions());
  cluster.discovery.start();
  namespace = await cluster.namespace();
});
after(async () => {
  await cluster[Symbol.asyncDispose]();
});

function condition(type: string, status: Condition['status'], reason: string): Condition {
  return { type, status, reason, message: `because of ${reason}`, observedGeneration: 1 };
}

interface Stored {
  readonly observedGeneration?: number;
  readonly conditions?: readonly (Condition & { readonly lastTransitionTime: string })[];
}

async function stored(gvr: GroupVersionResource, name: string): Promise<Stored> {
  const object = await cluster.client.get(gvr, { namespace, name });
  return (object['status'] ?? {}) as Stored;
}

describe('StatusDuty on a real API server', () => {
  it('writes conditions, keeps their times and what others say, and stops with its term', async () => {
    const { client } = cluster;
    await client.create(POLICIES, {
      apiVersion: 'security.istio.io/v1',
      kind: 'AuthorizationPolicy',
      metadata: { namespace, name: 'p' },
      spec: {},
    });
    const service = await client.create(SERVICES, {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { namespace, name: 's' },
      spec: { ports: PORTS },
    });
    const foreign = {
      type: 'example.io/Reachable',
      status: 'True',
      reason: 'Seen',
      message: '',
      lastTransitionTime: '2026-01-01T00:00:00Z',
    };
    const status = { ...(service['status'] as object), conditions: [foreign] };
    await client.update(SERVICES, { ...service, status } as KubeObject, { subresource: 'status' });

    const policy = `AuthorizationPolicy/${namespace}/p`;
    const bound = `Service/${namespace}/s`;
    const statuses = new Map<string, ObjectStatus>();
    const say = (key: string, ...conditions: readonly Condition[]): void => {
      statuses.set(key, { key, conditions, findings: [] });
    };
    const objectOf = (key: string): StatusTarget | undefined => {
      const { kind, name } = splitKey(key);
      const gvr = BY_KIND[kind];
      return gvr === undefined ? undefined : { gvr, ref: { namespace, name }, generation: 1 };
    };
    const duty = new StatusDuty({
      context: contextOf(cluster),
      book: { of: (key) => statuses.get(key), all: () => [...statuses.values()] },
      objectOf,
    });
    say(
      policy,
      condition('Accepted', 'True', 'Accepted'),
      condition('Enforced', 'Unknown', 'Waiting'),
    );
    say(bound, condition('WaypointReady', 'True', 'WaypointReady'));
    const term = new AbortController();
    duty.lead(term.signal);
    await until(async () => (await stored(POLICIES, 'p')).conditions?.length === 2);
    await until(async () => (await stored(SERVICES, 's')).conditions?.length === 2);
    const first = await stored(POLICIES, 'p');
    assert.equal(first.observedGeneration, 1);
    const ofService = await stored(SERVICES, 's');
    assert.deepEqual(
      ofService.conditions?.map(({ type, reason }) => [type, reason]),
      [
        ['example.io/Reachable', 'Seen'],
        ['istio.io/WaypointBound', 'WaypointAccepted'],
      ],
    );

    say(
      policy,
      condition('Accepted', 'True', 'Accepted'),
      condition('Enforced', 'True', 'Enforced'),
    );
    statuses.delete(bound);
    duty.changed([policy, bound]);
    await until(async () => (await stored(POLICIES, 'p')).conditions?.[1]?.status === 'True');
    await until(async () => (await stored(SERVICES, 's')).conditions?.length === 1);
    const second = await stored(POLICIES, 'p');
    assert.deepEqual(second.conditions?.[0], first.conditions?.[0]);

    const { metadata } = await client.get(POLICIES, { namespace, name: 'p' });
    duty.changed([policy]);
    await systemClock.sleep(1_000);
    const after = await client.get(POLICIES, { namespace, name: 'p' });
    assert.equal(after.metadata.resourceVersion, metadata.resourceVersion, 'nothing to write');

    term.abort();
    await duty.idle();
    say(policy, condition('Accepted', 'False', 'Invalid'));
    duty.changed([policy]);
    await systemClock.sleep(1_000);
    assert.equal((await stored(POLICIES, 'p')).conditions?.[0]?.status, 'True');
  });
});
