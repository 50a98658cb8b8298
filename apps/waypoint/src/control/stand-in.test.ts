/** What a waypoint refused stays refused when it cannot read the newest version of the policy. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type AuthorizationPolicy, parseObject } from '@ambit/api';
import { authorizeAtWaypoint, MeshIndex, SEMANTICS_VERSION, WaypointView } from '@ambit/model';
import { encodeObject } from '@ambit/xds';
import { PORT, service, workload } from '../testing.ts';
import { subscriptionsOf } from './controller-link.ts';
import { MeshState } from './mesh-state.ts';

const CLASS = 'edge-waypoint';
const LATER = SEMANTICS_VERSION + 1;
const GATEWAY = [
  { group: 'gateway.networking.k8s.io', kind: 'Gateway', name: 'waypoint' },
] as const;
const REVIEWS = service('HTTP11');
const NO_ADMIN = { action: 'DENY', rules: [{ to: [{ operation: { paths: ['/admin'] } }] }] };

function policy(spec: object, annotations: object = {}): AuthorizationPolicy {
  const { object, findings } = parseObject({
    apiVersion: 'security.istio.io/v1',
    kind: 'AuthorizationPolicy',
    metadata: { name: 'p', namespace: 'gw', annotations },
    spec,
  });
  assert.ok(object?.kind === 'AuthorizationPolicy', JSON.stringify(findings));
  return object;
}

/** The waypoint gw/waypoint, which serves `reviews` of the namespace shop. */
function setUp(className = CLASS) {
  const key = 'AuthorizationPolicy/gw/p';
  const state = new MeshState();
  const index = new MeshIndex({ network: '' });
  const endpoint = workload('reviews', PORT);
  index.apply({
    changed: [
      { kind: 'service', service: REVIEWS },
      { kind: 'workload', workload: endpoint },
    ],
    removed: [],
  });
  const options = { namespace: 'gw', name: 'waypoint', className, trustDomain: 'cluster.local' };
  const domains = { rootNamespace: 'istio-system', clusterDomain: 'cluster.local' };
  const view = new WaypointView(index, { ...options, ...domains });
  const [objects] = subscriptionsOf(
    state,
    (change) => {
      if (change.kind === 'objects') view.apply(change);
      return Promise.resolve([]);
    },
    className,
  );
  const take = async (value: Uint8Array): Promise<void> => {
    await objects?.apply({ changed: [{ name: key, version: '1', value }], removed: [] });
  };
  return {
    read: async (object: AuthorizationPolicy, semanticsVersion = SEMANTICS_VERSION) =>
      await take(encodeObject({ key, semanticsVersion, object })),
    garble: async () => await take(Buffer.from('nonsense')),
    /** At the endpoint of `reviews`, for who asked for that or another service. */
    isAllowed: (path: string, asked = REVIEWS): boolean =>
      authorizeAtWaypoint({
        view,
        index,
        caller: {
          trustDomain: 'cluster.local',
          namespace: 'shop',
          serviceAccount: 'client',
          ip: '10.0.0.9',
        },
        destination: { service: asked, port: PORT },
        request: { host: 'reviews', method: 'GET', path, header: () => undefined },
      }).forEndpoint({ workload: endpoint, targetPort: PORT }).verdict.allowed,
  };
}

describe('a policy on the Gateway of a waypoint that serves another namespace', () => {
  const onGateway = { ...NO_ADMIN, targetRefs: GATEWAY };
  const held = policy(onGateway);

  for (const className of [CLASS, 'No Name Of A Class'])
    it(`refuses on when its content cannot be read, in the class ${className}`, async () => {
      const { read, garble, isAllowed } = setUp(className);
      await read(held);
      assert.deepEqual([isAllowed('/'), isAllowed('/admin')], [true, false]);
      await garble();
      assert.equal(isAllowed('/admin'), false);
      await read(held);
      assert.deepEqual([isAllowed('/'), isAllowed('/admin')], [true, false]);
    });

  it('refuses on when a later version moves it', async () => {
    for (const scope of [{}, { selector: { matchLabels: { app: 'reviews' } } }]) {
      const { read, isAllowed } = setUp();
      await read(held);
      await read(policy({ ...NO_ADMIN, ...scope }), LATER);
      assert.equal(isAllowed('/admin'), false);
    }
  });

  it('refuses when a later version takes the dry run off', async () => {
    const { read, isAllowed } = setUp();
    await read(policy(onGateway, { 'istio.io/dry-run': 'true' }));
    assert.equal(isAllowed('/admin'), true);
    await read(held, LATER);
    assert.equal(isAllowed('/admin'), false);
  });

  it('says the same where a later version writes that it is no dry run', async () => {
    const { read, isAllowed } = setUp();
    await read(held);
    await read(policy(onGateway, { 'istio.io/dry-run': 'false' }), LATER);
    assert.deepEqual([isAllowed('/'), isAllowed('/admin')], [true, false]);
  });
});

describe('a policy on a service from which a route leads to another namespace', () => {
  const hostname = 'front.gw.svc.cluster.local';
  const front = service('HTTP11', { name: 'front', namespace: 'gw', hostname });

  it('refuses on when its content cannot be read', async () => {
    const { read, garble, isAllowed } = setUp();
    await read(
      policy({ ...NO_ADMIN, targetRefs: [{ group: '', kind: 'Service', name: 'front' }] }),
    );
    assert.deepEqual([isAllowed('/', front), isAllowed('/admin', front)], [true, false]);
    await garble();
    assert.equal(isAllowed('/admin', front), false);
  });
});
