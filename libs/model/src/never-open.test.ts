/** Ways in which a policy could end up decided by nobody. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { MeshObject } from '@ambit/api';

import type { MeshModel } from './mesh-model.ts';
import {
  gateway,
  modelOf,
  namespace,
  pod,
  policy,
  service,
  uid,
  waypointPod,
} from './objects.testing.ts';
import type { Workload } from './types.ts';

const AMBIENT = namespace('shop', { 'istio.io/dataplane-mode': 'ambient' });
const WAYPOINT_ID = 'spiffe://cluster.local/ns/shop/sa/waypoint';

function workload(model: MeshModel, name: string): Workload {
  const address = model.outputs.addresses.get(uid(name));
  assert.ok(address?.kind === 'workload');
  return address.workload;
}

describe('a policy on the waypoint of workloads', () => {
  const bound = pod('reviews', '10.0.0.1', {
    labels: { app: 'reviews', 'istio.io/use-waypoint': 'waypoint' },
  });
  const onGateway = (spec: object = {}): MeshObject =>
    policy('p', {
      action: 'DENY',
      rules: [{ to: [{ operation: { methods: ['POST'] } }] }],
      targetRefs: [{ group: 'gateway.networking.k8s.io', kind: 'Gateway', name: 'waypoint' }],
      ...spec,
    });
  for (const traffic of ['workload', 'all']) {
    const made = gateway('waypoint', { labels: { 'istio.io/waypoint-for': traffic } });

    it(`guards every port of the workloads behind it, ready or not, ${traffic}`, () => {
      for (const ready of [true, false]) {
        const objects = [AMBIENT, bound, made, waypointPod('waypoint', 'shop', ready)];
        const guarded = workload(modelOf(...objects, onGateway()), 'reviews');
        assert.deepEqual(guarded.guard, {
          waypointIdentities: [WAYPOINT_ID],
          ports: [],
          exclusive: true,
          because: ['AuthorizationPolicy/shop/p'],
        });
        assert.ok(guarded.waypoint, 'callers go there, and nowhere else');
      }
    });

    it(`guards nothing for one that only takes notes, ${traffic}`, () => {
      const objects = [AMBIENT, bound, made, waypointPod(), onGateway({ action: 'AUDIT' })];
      assert.equal(workload(modelOf(...objects), 'reviews').guard, undefined);
    });
  }

  it('guards no workload behind a waypoint that takes services only', () => {
    const objects = [AMBIENT, bound, gateway('waypoint'), waypointPod(), onGateway()];
    assert.equal(workload(modelOf(...objects), 'reviews').guard, undefined);
  });
});

describe('the label of a gateway on a pod', () => {
  const L7 = policy('p', { rules: [{ to: [{ operation: { methods: ['GET'] } }] }] });
  const labelled = pod('reviews', '10.0.0.1', {
    labels: { app: 'reviews', 'gateway.networking.k8s.io/gateway-name': 'nobody' },
  });

  it('does not take a captured pod out of the guard where no such Gateway is', () => {
    const model = modelOf(AMBIENT, labelled, service('reviews', '10.96.0.1'), L7);
    assert.equal(workload(model, 'reviews').guard?.exclusive, true);
  });

  for (const [whose, object] of [
    ['of another class', gateway('nobody', { className: 'nginx' })],
    ['of a waypoint that runs as another', gateway('nobody')],
    ['of a waypoint that somebody else runs', gateway('nobody', { addresses: ['10.9.9.9'] })],
  ] as const) {
    it(`does not take a captured pod out of the guard with a Gateway ${whose}`, () => {
      const model = modelOf(AMBIENT, labelled, service('reviews', '10.96.0.1'), object, L7);
      const { guard } = workload(model, 'reviews');
      assert.deepEqual(guard?.waypointIdentities, ['spiffe://cluster.local/ns/shop/sa/waypoint']);
      assert.deepEqual([guard?.ports, guard?.exclusive], [[], true]);
    });
  }

  it('leaves the connections of a captured ingress to its agent, and one that is not captured alone', () => {
    const ingress = gateway('nobody', { className: 'nginx' });
    const l4 = policy('p', {
      action: 'DENY',
      rules: [{ from: [{ source: { namespaces: ['x'] } }] }],
    });
    const captured = workload(modelOf(AMBIENT, labelled, ingress, l4), 'reviews');
    assert.equal(captured.guard, undefined);
    const alone = workload(modelOf(namespace('shop'), labelled, ingress, L7), 'reviews');
    assert.equal(alone.guard, undefined);
  });

  // It has no guard, as it would be the only one to come past it, and is said to be judged by nobody.
  it('is believed of a pod that runs as its waypoint, and the policy says so', () => {
    const own = pod('reviews', '10.0.0.1', {
      account: 'nobody',
      labels: { app: 'reviews', 'gateway.networking.k8s.io/gateway-name': 'nobody' },
    });
    const selecting = policy('p', {
      selector: { matchLabels: { app: 'reviews' } },
      rules: [{ to: [{ operation: { methods: ['GET'] } }] }],
    });
    const model = modelOf(AMBIENT, own, gateway('nobody'), selecting);
    assert.equal(workload(model, 'reviews').guard, undefined);
    const status = model.outputs.statuses.get('AuthorizationPolicy/shop/p');
    const [finding] = status?.findings ?? [];
    assert.equal(finding?.code, 'WAYPOINT_UNJUDGED');
    assert.match(finding?.message ?? '', /Pod\/shop\/reviews/);
  });
});

describe('a policy on what is outside of the mesh', () => {
  const attached = (...objects: readonly MeshObject[]): string => {
    const status = modelOf(...objects).outputs.statuses.get('AuthorizationPolicy/shop/p');
    const found = status?.conditions.find(({ type }) => type === 'Attached');
    const codes = status?.findings.map(({ code }) => code).join() ?? '';
    return `${found?.status} ${found?.reason} ${codes}`;
  };
  const inside = pod('in', '10.0.0.1', { labels: { app: 'a' } });
  const out = pod('out', '10.0.0.2', { labels: { app: 'a', 'istio.io/dataplane-mode': 'none' } });
  for (const selector of [undefined, { matchLabels: { app: 'a' } }]) {
    for (const rules of [[{}], [{ to: [{ operation: { methods: ['GET'] } }] }]]) {
      const p = policy('p', { action: 'DENY', rules, ...(selector && { selector }) });
      const where = rules.length > 0 && 'to' in (rules[0] ?? {}) ? 'AtWaypoint' : 'AtAgents';
      it(`says that nobody decides, ${where}, ${selector ? 'selecting' : 'wide'}`, () => {
        assert.equal(attached(AMBIENT, p, out), 'False NotEnrolled NOT_ENROLLED');
        assert.equal(attached(namespace('shop'), p, inside), 'False NotEnrolled NOT_ENROLLED');
        assert.equal(attached(AMBIENT, p, inside, out), `True ${where} NOT_ENROLLED`);
        assert.equal(attached(AMBIENT, p, inside, waypointPod()), `True ${where} `);
      });
    }
  }
});

describe('a policy that cannot be compiled', () => {
  // What validation lets pass and compiling refuses is a fault of ours, and no reason to let anybody in.
  const written = policy('broken', {
    action: 'ALLOW',
    selector: { matchLabels: { app: 'reviews' } },
    rules: [{ from: [{ source: { ipBlocks: ['10.0.0.0/8'] } }] }],
  });
  const broken = JSON.parse(
    JSON.stringify(written).replace('10.0.0.0/8', 'nonsense'),
  ) as MeshObject;

  it('refuses everything in its scope, and says so', () => {
    const model = modelOf(
      AMBIENT,
      pod('reviews', '10.0.0.1', { labels: { app: 'reviews' } }),
      broken,
    );
    const held = model.outputs.authorizations.get('shop/broken');
    assert.deepEqual(
      [held?.action, held?.scope, held?.rules],
      ['DENY', 'WORKLOAD_SELECTOR', [{ clauses: [] }]],
    );
    assert.deepEqual(workload(model, 'reviews').authorizationPolicies, ['shop/broken']);
    const status = model.outputs.statuses.get('AuthorizationPolicy/shop/broken');
    const accepted = status?.conditions.find(({ type }) => type === 'Accepted');
    assert.deepEqual([accepted?.status, accepted?.reason], ['False', 'Invalid']);
    assert.match(accepted?.message ?? '', /everything in its scope is refused/);
  });
});
