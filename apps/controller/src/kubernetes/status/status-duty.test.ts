import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { systemClock } from '@ambit/core';
import type { KubeObject } from '@ambit/kube';
import { type Condition, GATEWAY_CONTROLLER, type ObjectStatus, splitKey } from '@ambit/model';
import { until } from '../../until.testing.ts';
import { fakeCluster } from '../context.testing.ts';
import { StatusDuty, type StatusTarget } from './status-duty.ts';

const GROUPS: Readonly<Record<string, readonly [group: string, resource: string]>> = {
  AuthorizationPolicy: ['security.istio.io', 'authorizationpolicies'],
  ServiceEntry: ['networking.istio.io', 'serviceentries'],
  Service: ['', 'services'],
  Pod: ['', 'pods'],
  HTTPRoute: ['gateway.networking.k8s.io', 'httproutes'],
  Gateway: ['gateway.networking.k8s.io', 'gateways'],
  TLSRoute: ['gateway.networking.k8s.io', 'tlsroutes'],
  BackendTLSPolicy: ['gateway.networking.k8s.io', 'backendtlspolicies'],
};
const KINDS = Object.entries(GROUPS).map(([kind, [group, resource]]) => ({
  kind,
  group,
  resource,
  versions: ['v1'],
}));

function condition(
  type: string,
  status: Condition['status'] = 'True',
  changes: Partial<Condition> = {},
): Condition {
  return {
    type,
    status,
    reason: type,
    message: `${type} it is`,
    observedGeneration: 3,
    ...changes,
  };
}

async function rig({ perSecond = 1_000 }: { readonly perSecond?: number } = {}) {
  const { server, context, ...rest } = await fakeCluster(KINDS);
  const statuses = new Map<string, ObjectStatus>();
  const objectOf = (key: string): StatusTarget | undefined => {
    const { kind, namespace, name } = splitKey(key);
    const [group = '', resource = ''] = GROUPS[kind] ?? [];
    const object = server.get(resource, `${namespace}/${name}`);
    if (object === undefined) return undefined;
    const { uid = '', generation } = object.metadata;
    return {
      gvr: { group, version: 'v1', resource },
      ref: { namespace, name },
      uid,
      ...(generation === undefined ? {} : { generation }),
    };
  };
  const book = { of: (key: string) => statuses.get(key), all: () => [...statuses.values()] };
  const duty = new StatusDuty({ context, book, objectOf, perSecond });
  const term = new AbortController();
  return {
    server,
    duty,
    term,
    put(key: string, fields: Readonly<Record<string, unknown>> = {}): void {
      const { kind, namespace, name } = splitKey(key);
      const metadata = { namespace, name, generation: 3 };
      server.put(GROUPS[kind]?.[1] ?? '', { kind, metadata, ...fields } as KubeObject);
    },
    say(key: string, conditions: readonly Condition[], more: Partial<ObjectStatus> = {}): void {
      statuses.set(key, { key, conditions, findings: [], ...more });
      duty.changed([key]);
    },
    unsay(key: string): void {
      statuses.delete(key);
      duty.changed([key]);
    },
    status(key: string): Readonly<Record<string, unknown>> {
      const { kind, namespace, name } = splitKey(key);
      const object = server.get(GROUPS[kind]?.[1] ?? '', `${namespace}/${name}`);
      return (object?.['status'] ?? {}) as Readonly<Record<string, unknown>>;
    },
    writes: (): number => server.requests.filter(({ method }) => method === 'PUT').length,
    async [Symbol.asyncDispose]() {
      term.abort();
      await duty.idle();
      await rest[Symbol.asyncDispose]();
    },
  };
}

type Told = Readonly<Record<string, unknown>>;
const POLICY = 'AuthorizationPolicy/shop/p';
const SERVICE = 'Service/shop/reviews';
const ROUTE = 'HTTPRoute/shop/r';

describe('StatusDuty', () => {
  it('writes all when it begins to lead, and then what changes', async () => {
    await using bed = await rig();
    bed.put(POLICY);
    bed.say(POLICY, [condition('Accepted'), condition('Enforced', 'Unknown')]);
    await systemClock.sleep(20);
    assert.equal(bed.writes(), 0, 'nobody leads');
    bed.duty.lead(bed.term.signal);
    await until(() => bed.status(POLICY)['conditions'] !== undefined);
    const first = bed.status(POLICY)['conditions'] as readonly Told[];
    assert.equal(bed.status(POLICY)['observedGeneration'], 3);
    assert.deepEqual(
      first.map(({ type, status, observedGeneration }) => [type, status, observedGeneration]),
      [
        ['Accepted', 'True', 3],
        ['Enforced', 'Unknown', 3],
      ],
    );
    bed.say(POLICY, [condition('Accepted'), condition('Enforced', 'True')]);
    await until(() => bed.writes() === 2);
    const second = bed.status(POLICY)['conditions'] as readonly Told[];
    assert.deepEqual(second[0], first[0], 'what did not change keeps its time');
    assert.equal(second[1]?.['status'], 'True');
  });

  it('does not let a change wait for the pass over everything', async () => {
    await using bed = await rig({ perSecond: 100 });
    const keys = Array.from({ length: 200 }, (_, index) => `AuthorizationPolicy/shop/p${index}`);
    for (const key of keys) {
      bed.put(key);
      bed.say(key, [condition('Accepted')]);
    }
    bed.duty.lead(bed.term.signal);
    // The pass over everything has begun with what was there.
    await systemClock.sleep(1);
    bed.put(POLICY);
    bed.say(POLICY, [condition('Accepted')]);
    await until(() => bed.status(POLICY)['conditions'] !== undefined);
    assert.ok(bed.writes() < 50, String(bed.writes()));
    await until(() => keys.every((key) => bed.status(key)['conditions'] !== undefined));
  });

  it('writes nothing that is there already, and keeps what others wrote', async () => {
    await using bed = await rig();
    const foreign = {
      type: 'Reconciled',
      status: 'True',
      lastTransitionTime: '2026-01-01T00:00:00Z',
    };
    bed.put(POLICY, { status: { conditions: [foreign], validationMessages: ['x'] } });
    bed.say(POLICY, [condition('Accepted')]);
    bed.duty.lead(bed.term.signal);
    await until(() => bed.writes() === 1);
    assert.deepEqual((bed.status(POLICY)['conditions'] as readonly Told[])[0], foreign);
    assert.deepEqual(bed.status(POLICY)['validationMessages'], ['x']);
    const before = bed.server.requests.length;
    bed.duty.changed([POLICY]);
    await until(() => bed.server.requests.length > before);
    await systemClock.sleep(20);
    assert.equal(bed.writes(), 1);
  });

  it('says what is wrong, of the version that it is about', async () => {
    await using bed = await rig();
    bed.put(POLICY, { metadata: { namespace: 'shop', name: 'p', generation: 7 } });
    const fault = {
      code: 'INVALID_VALUE',
      severity: 'error' as const,
      path: 'spec.action',
      message: 'is no action',
      found: '"deny"',
      allowed: 'ALLOW, DENY',
      fix: 'write DENY',
    };
    const refused = condition('Accepted', 'False', { reason: 'Invalid', observedGeneration: 3 });
    bed.say(POLICY, [refused], { findings: [fault] });
    bed.duty.lead(bed.term.signal);
    await until(() => bed.writes() === 1);
    const [accepted] = bed.status(POLICY)['conditions'] as readonly Told[];
    assert.equal(accepted?.['observedGeneration'], 7);
    assert.match(
      String(accepted?.['message']),
      /spec\.action is no action \(found "deny"; allowed: ALLOW, DENY\)\. Fix: write DENY\./,
    );
  });

  it('says on a Service what became of its waypoint, and takes it back', async () => {
    await using bed = await rig();
    bed.put(SERVICE, { status: { loadBalancer: {} } });
    bed.say(SERVICE, [condition('WaypointReady', 'False', { reason: 'WaypointNotReady' })]);
    bed.duty.lead(bed.term.signal);
    await until(() => bed.writes() === 1);
    const [bound] = bed.status(SERVICE)['conditions'] as readonly Told[];
    assert.deepEqual(
      [bound?.['type'], bound?.['status'], bound?.['reason']],
      ['istio.io/WaypointBound', 'False', 'WaypointIsNotReady'],
    );
    assert.deepEqual(bed.status(SERVICE)['loadBalancer'], {});
    bed.unsay(SERVICE);
    await until(() => bed.writes() === 2);
    assert.deepEqual(bed.status(SERVICE)['conditions'], []);
  });

  it('takes back what an earlier leader said of a Service', async () => {
    await using bed = await rig();
    const left = { type: 'istio.io/WaypointBound', status: 'True', reason: 'WaypointAccepted' };
    const foreign = { type: 'LoadBalancerPortsError', status: 'False', reason: 'x' };
    bed.put(SERVICE, { status: { conditions: [left, foreign] } });
    bed.put('Service/shop/other', { status: { conditions: [foreign] } });
    bed.duty.lead(bed.term.signal);
    await until(() => bed.writes() === 1);
    assert.deepEqual(bed.status(SERVICE)['conditions'], [foreign]);
  });

  it('keeps the entries of other controllers of a route', async () => {
    await using bed = await rig();
    const parentRef = { group: '', kind: 'Service', name: 'reviews' };
    const theirs = { parentRef, controllerName: 'other.io/x', conditions: [{ type: 'Accepted' }] };
    bed.put(ROUTE, { spec: { parentRefs: [parentRef] }, status: { parents: [theirs] } });
    const entry = { parentRef, controllerName: GATEWAY_CONTROLLER };
    const accepted = [condition('Accepted'), condition('ResolvedRefs')];
    bed.say(ROUTE, [...accepted, condition('Enforced', 'Unknown')], {
      gatewayApi: { kind: 'parents', parents: [{ ...entry, conditions: accepted }] },
    });
    bed.duty.lead(bed.term.signal);
    await until(() => bed.writes() === 1);
    const parents = bed.status(ROUTE)['parents'] as readonly Told[];
    assert.deepEqual(parents[0], theirs);
    assert.equal(parents.length, 2);
    const ours = parents[1]?.['conditions'] as readonly Told[];
    assert.deepEqual(
      ours.map(({ type, status }) => `${type}=${status}`),
      ['Accepted=True', 'ResolvedRefs=True', 'Enforced=Unknown'],
    );
    bed.duty.changed([ROUTE]);
    await systemClock.sleep(700);
    assert.equal(bed.writes(), 1);
  });

  it('refuses a route at the parents that the refused version names', async () => {
    await using bed = await rig();
    const parentRefs = [
      { group: '', kind: 'Service', name: 'reviews', port: 80 },
      { name: 'some-gateway' },
    ];
    bed.put(ROUTE, { spec: { parentRefs } });
    bed.say(ROUTE, [condition('Accepted', 'False', { reason: 'Invalid', observedGeneration: 0 })]);
    bed.duty.lead(bed.term.signal);
    await until(() => bed.writes() === 1);
    const parents = bed.status(ROUTE)['parents'] as readonly Told[];
    assert.deepEqual(
      parents.map(({ parentRef }) => parentRef),
      [parentRefs[0]],
    );
    const [accepted] = (parents[0]?.['conditions'] ?? []) as readonly Told[];
    assert.deepEqual(
      [accepted?.['status'], accepted?.['reason'], accepted?.['observedGeneration']],
      ['False', 'UnsupportedValue', 3],
    );
  });

  it('says of kinds that are not served that they are not', async () => {
    await using bed = await rig();
    const unsupported = condition('Accepted', 'False', {
      reason: 'UnsupportedKind',
      observedGeneration: 0,
    });
    const parentRef = { group: '', kind: 'Service', name: 'reviews' };
    bed.put('TLSRoute/shop/t', { spec: { parentRefs: [parentRef] } });
    bed.put('BackendTLSPolicy/shop/b', { spec: { targetRefs: [parentRef, { kind: 'X' }] } });
    bed.put('Gateway/shop/w', { spec: { gatewayClassName: 'istio-waypoint' } });
    bed.put('Gateway/shop/edge', { spec: { gatewayClassName: 'other' } });
    for (const key of ['TLSRoute/shop/t', 'BackendTLSPolicy/shop/b']) bed.say(key, [unsupported]);
    const refused = condition('Accepted', 'False', { reason: 'Invalid' });
    for (const key of ['Gateway/shop/w', 'Gateway/shop/edge']) bed.say(key, [refused]);
    bed.duty.lead(bed.term.signal);
    await until(() => bed.writes() === 3);
    const [parent] = bed.status('TLSRoute/shop/t')['parents'] as readonly Told[];
    const [ancestor, ...others] = bed.status('BackendTLSPolicy/shop/b')[
      'ancestors'
    ] as readonly Told[];
    assert.deepEqual(parent?.['parentRef'], parentRef);
    assert.deepEqual(ancestor?.['ancestorRef'], parentRef);
    assert.deepEqual(others, []);
    for (const entry of [parent, ancestor]) {
      const [accepted] = (entry?.['conditions'] ?? []) as readonly Told[];
      assert.equal(accepted?.['status'], 'False');
      assert.equal(accepted['observedGeneration'], 3);
    }
    const ofGateway = bed.status('Gateway/shop/w')['conditions'] as readonly Told[];
    assert.deepEqual(
      ofGateway.map(({ type, status, reason, observedGeneration }) => [
        ...[type, status, reason, observedGeneration],
      ]),
      [
        ['Accepted', 'False', 'Invalid', 3],
        ['Programmed', 'False', 'Invalid', 3],
      ],
    );
    assert.deepEqual(bed.status('Gateway/shop/edge'), {});
  });

  it('leaves Gateways of other classes and pods to others', async () => {
    await using bed = await rig();
    for (const key of ['Gateway/shop/edge', 'Pod/shop/p']) {
      bed.put(key);
      bed.say(key, [condition('Accepted', 'False', { reason: 'UnsupportedClass' })]);
    }
    bed.put(POLICY);
    bed.say(POLICY, [condition('Accepted')]);
    bed.duty.lead(bed.term.signal);
    await until(() => bed.status(POLICY)['conditions'] !== undefined);
    await systemClock.sleep(50);
    assert.equal(bed.writes(), 1);
  });

  it('writes nothing after its term, and begins anew with the next', async () => {
    await using bed = await rig();
    bed.put(POLICY);
    bed.say(POLICY, [condition('Accepted')]);
    bed.duty.lead(bed.term.signal);
    bed.term.abort();
    await bed.duty.idle();
    bed.say(POLICY, [condition('Accepted', 'False')]);
    await systemClock.sleep(600);
    assert.equal(bed.writes(), 0);
    const next = new AbortController();
    bed.duty.lead(next.signal);
    await until(() => bed.writes() === 1);
    next.abort();
    await bed.duty.idle();
  });
});
