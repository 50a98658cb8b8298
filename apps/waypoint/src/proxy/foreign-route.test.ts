/** A tenant's own route to a service of others gets its requests past none of their policies. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type MeshObject, parseObject } from '@ambit/api';
import { PORT, service, workload } from '../testing.ts';
import { ask, client, policy, startRig, stranger } from './proxy-worker.testing.ts';

const REVIEWS = { group: '', kind: 'Service', name: 'reviews', namespace: 'shop', port: PORT };

function route(namespace: string): MeshObject {
  const path = { type: 'ReplaceFullPath', replaceFullPath: '/admin' };
  const { object, findings } = parseObject({
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'HTTPRoute',
    metadata: { name: 'r', namespace },
    spec: {
      parentRefs: [REVIEWS],
      rules: [{ filters: [{ type: 'URLRewrite', urlRewrite: { path } }], backendRefs: [REVIEWS] }],
    },
  });
  assert.ok(object !== undefined, JSON.stringify(findings));
  return object;
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
