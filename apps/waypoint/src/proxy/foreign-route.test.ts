/** A tenant's own route to a service of others gets its requests past none of their policies. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type MeshObject, parseObject } from '@ambit/api';
import { PORT, service, workload } from '../testing.ts';
import { ask, client, policy, startRig, stranger } from './proxy-worker.testing.ts';

const REVIEWS = { group: '', kind: 'Service', name: 'reviews', namespace: 'shop', port: PORT };

function route(namespace: string): MeshObject {
  const path = { type: 'ReplaceFullPath', replaceFullPath: '/admin' };
  const filters = [{ type: 'URLRewrite', urlRewrite: { path } }];
  return objectOf(
    'HTTPRoute',
    { parentRefs: [REVIEWS], rules: [{ filters, backendRefs: [REVIEWS] }] },
    namespace,
  );
}

describe('a route that rewrites /public/a to /admin, where policy allows /public/* alone', () => {
  for (const [of, expected] of [
    ['other', [403, 200]],
    ['shop', [200, 200]],
  ] as const) {
    it(`of namespace ${of}: callers of other and of shop get ${expected.join(' and ')}`, async () => {
      await using rig = await startRig();
      const allow = policy('public-only', {
        targetRefs: [{ group: '', kind: 'Service', name: 'reviews' }],
        rules: [{ to: [{ operation: { paths: ['/public/*'] } }] }],
      });
      rig.tell(
        [
          { kind: 'service', service: service('HTTP11') },
          { kind: 'workload', workload: workload('reviews', rig.backendPort) },
        ],
        [allow, route(of)],
      );
      const statuses: number[] = [];
      for (const caller of [stranger, client]) {
        statuses.push((await ask(await rig.tunnel(caller), { path: '/public/a' })).status);
      }
      assert.deepEqual(statuses, expected);
    });
  }
});

describe('a route of other/db to shop/reviews, which callers of shop alone may reach', () => {
  for (const [of, expected] of [
    ['nobody', [403, 200]],
    ['the service of other', [403, 200]],
    ['the endpoint', [200, 200]],
  ] as const) {
    it(`with an ALLOW for all by ${of}: callers of other and of shop get ${expected.join(' and ')}`, async () => {
      await using rig = await startRig();
      const toReviews = (rule: object, name: string) =>
        policy(name, { selector: { matchLabels: { app: 'reviews' } }, rules: [rule] });
      const get = { to: [{ operation: { methods: ['GET'] } }] };
      const fromShop = { from: [{ source: { namespaces: ['shop'] } }], ...get };
      const toDb = objectOf('AuthorizationPolicy', {
        targetRefs: [{ group: '', kind: 'Service', name: 'db' }],
        rules: [{}],
      });
      const forAll = { nobody: [], 'the service of other': [toDb] };
      const ip = '10.96.0.66';
      const db = service('HTTP11', {
        name: 'db',
        namespace: 'other',
        hostname: 'db.other.svc.cluster.local',
        addresses: [{ network: '', address: ip }],
      });
      const toShop = objectOf('HTTPRoute', {
        parentRefs: [{ group: '', kind: 'Service', name: 'db', port: PORT }],
        rules: [{ backendRefs: [{ name: 'reviews', namespace: 'shop', port: PORT }] }],
      });
      rig.tell(
        [
          { kind: 'service', service: service('HTTP11') },
          { kind: 'service', service: db },
          { kind: 'workload', workload: workload('reviews', rig.backendPort) },
        ],
        [
          toReviews(fromShop, 'only-shop'),
          toShop,
          ...(of === 'the endpoint' ? [toReviews(get, 'all')] : forAll[of]),
        ],
      );
      const statuses: number[] = [];
      for (const caller of [stranger, client]) {
        statuses.push((await ask(await rig.tunnel(caller, `${ip}:${PORT}`))).status);
      }
      assert.deepEqual(statuses, expected);
    });
  }
});

function objectOf(kind: string, spec: object, namespace = 'other'): MeshObject {
  const isPolicy = kind === 'AuthorizationPolicy';
  const apiVersion = isPolicy ? 'security.istio.io/v1' : 'gateway.networking.k8s.io/v1';
  const metadata = { name: 'r', namespace };
  const { object, findings } = parseObject({ apiVersion, kind, metadata, spec });
  assert.ok(object !== undefined, JSON.stringify(findings));
  return object;
}
