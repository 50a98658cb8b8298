/** What is guarded: whoever is not the waypoint is refused there, ready or not. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import {
  AMBIENT,
  L4_ALLOW,
  L7_ALLOW,
  L7_TARGETED,
  meshService,
  REVIEWS,
  REVIEWS_SERVICE,
  ROUTE,
  reasons,
  WAYPOINT_ID,
  workload,
} from './mesh.testing.ts';
import {
  gateway,
  modelOf,
  namespace,
  pod,
  policy,
  service,
  waypointPod,
} from './objects.testing.ts';

describe('guards', () => {
  it('guards every port of what a selector policy with HTTP fields selects, and nothing else', () => {
    const model = modelOf(AMBIENT, REVIEWS, pod('ratings', '10.0.0.2'), REVIEWS_SERVICE, L7_ALLOW);
    const guarded = workload(model, 'reviews');
    assert.deepEqual(guarded.guard, {
      waypointIdentities: [WAYPOINT_ID],
      ports: [],
      exclusive: true,
      because: ['AuthorizationPolicy/shop/get-only'],
    });
    assert.equal(guarded.waypoint?.destination.kind, 'hostname', 'callers by address go there too');
    assert.notEqual(
      meshService(model, 'reviews').waypoint,
      undefined,
      'at once, so that clients refuse till it is ready',
    );
    assert.equal(workload(model, 'ratings').guard, undefined);
    assert.equal(
      model.outputs.authorizations.has('shop/get-only'),
      false,
      'agents never get a weaker form',
    );
    assert.deepEqual(model.outputs.waypoints.get('shop/waypoint'), {
      namespace: 'shop',
      name: 'waypoint',
      serviceAccount: 'waypoint',
      className: 'istio-waypoint',
      onDemand: true,
      because: ['AuthorizationPolicy/shop/get-only'],
    });
  });

  it('finds the Service that is made under the name that the Gateway says', () => {
    const annotations = { 'gateway.istio.io/name-override': 'front' };
    const model = modelOf(
      namespace('shop', { 'istio.io/dataplane-mode': 'ambient', 'istio.io/use-waypoint': 'mine' }),
      gateway('mine', { annotations }),
      REVIEWS,
      REVIEWS_SERVICE,
    );
    assert.deepEqual(meshService(model, 'reviews').waypoint?.destination, {
      kind: 'hostname',
      hostname: { namespace: 'shop', hostname: 'front.shop.svc.cluster.local' },
    });
    const spec = model.outputs.waypoints.get('shop/mine');
    assert.deepEqual([spec?.name, spec?.partName, spec?.serviceAccount], ['mine', 'front', 'mine']);
  });

  it('runs the waypoint of a Gateway under its class', () => {
    const model = modelOf(gateway('waypoint', { className: 'ambit-waypoint' }));
    const spec = model.outputs.waypoints.get('shop/waypoint');
    assert.deepEqual([spec?.className, spec?.onDemand], ['ambit-waypoint', false]);
  });

  it('guards the target ports of a service that policy targets', () => {
    const model = modelOf(AMBIENT, REVIEWS, REVIEWS_SERVICE, L7_TARGETED);
    assert.deepEqual(workload(model, 'reviews').guard?.ports, [8080]);
    assert.equal(workload(model, 'reviews').waypoint, undefined);
  });

  it('guards every port behind a headless service that policy targets', () => {
    const headless = service('reviews', 'None');
    const model = modelOf(AMBIENT, REVIEWS, headless, L7_TARGETED);
    assert.deepEqual(workload(model, 'reviews').guard?.ports, []);
  });

  it('lets nobody in where policy needs a waypoint and the labels forbid one', () => {
    const space = namespace('shop', {
      'istio.io/dataplane-mode': 'ambient',
      'istio.io/use-waypoint': 'none',
    });
    const model = modelOf(space, REVIEWS, REVIEWS_SERVICE, L7_ALLOW);
    assert.deepEqual(workload(model, 'reviews').guard?.waypointIdentities, []);
    assert.equal(model.outputs.waypoints.size, 0);
    assert.ok(
      reasons(model, 'AuthorizationPolicy/shop/get-only').includes(
        'WaypointReady=False WaypointOptedOut',
      ),
    );
  });

  it('does not guard what is outside of the mesh', () => {
    const model = modelOf(namespace('shop'), REVIEWS, REVIEWS_SERVICE, L7_ALLOW);
    assert.equal(workload(model, 'reviews').guard, undefined);
    assert.equal(model.outputs.waypoints.size, 0);
  });

  it('does not guard for a policy that only takes notes', () => {
    for (const note of [
      policy('audit', { action: 'AUDIT', rules: [{ to: [{ operation: { methods: ['GET'] } }] }] }),
      policy(
        'dry',
        { rules: [{ to: [{ operation: { methods: ['GET'] } }] }] },
        { annotations: { 'istio.io/dry-run': 'true' } },
      ),
    ]) {
      const model = modelOf(AMBIENT, REVIEWS, REVIEWS_SERVICE, note);
      assert.equal(workload(model, 'reviews').guard, undefined, note.metadata.name);
      assert.equal(meshService(model, 'reviews').waypoint, undefined, note.metadata.name);
      assert.equal(
        model.outputs.waypoints.get('shop/waypoint')?.onDemand,
        true,
        note.metadata.name,
      );
    }
  });

  it('lets a foreign agent keep the guard: others are denied, and an ALLOW does not stop the waypoint', () => {
    const model = modelOf(AMBIENT, REVIEWS, REVIEWS_SERVICE, L7_TARGETED, L4_ALLOW);
    assert.deepEqual(workload(model, 'reviews').authorizationPolicies, [
      'shop/callers',
      'shop/ambit_only_waypoint_shop_waypoint_8080',
      'shop/ambit_allow_waypoint_shop_waypoint_8080',
    ]);
    const deny = model.outputs.authorizations.get('shop/ambit_only_waypoint_shop_waypoint_8080');
    assert.equal(deny?.action, 'DENY');
    assert.deepEqual(deny.rules[0]?.clauses[0]?.matches[0]?.l4.destinationPorts, [8080]);
    const without = modelOf(AMBIENT, REVIEWS, REVIEWS_SERVICE, L7_TARGETED);
    assert.deepEqual(workload(without, 'reviews').authorizationPolicies, [
      'shop/ambit_only_waypoint_shop_waypoint_8080',
    ]);
    assert.equal(without.outputs.authorizations.size, 1);
  });

  it('has the waypoint of a routed service decide for L4 policies, and others by themselves', () => {
    const objects = [AMBIENT, REVIEWS, REVIEWS_SERVICE, L4_ALLOW, ROUTE];
    assert.equal(workload(modelOf(...objects), 'reviews').guard, undefined, 'not while it starts');
    const model = modelOf(...objects, waypointPod());
    assert.deepEqual(workload(model, 'reviews').guard, {
      waypointIdentities: [WAYPOINT_ID],
      ports: [8080],
      exclusive: false,
      because: ['VirtualService/shop/reviews'],
    });
  });

  it('reaches every namespace by a policy of the root namespace', () => {
    const mesh = policy(
      'mesh',
      { action: 'DENY', rules: [{ to: [{ operation: { paths: ['/admin'] } }] }] },
      { namespace: 'istio-system' },
    );
    const model = modelOf(AMBIENT, REVIEWS, mesh);
    assert.deepEqual(workload(model, 'reviews').guard?.because, [
      'AuthorizationPolicy/istio-system/mesh',
    ]);
    assert.ok(model.outputs.waypoints.has('shop/waypoint'));
    assert.ok(
      model.outputs.scopes.get('shop/waypoint')?.has('AuthorizationPolicy/istio-system/mesh'),
    );
  });
});
