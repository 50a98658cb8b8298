/** Captured pods that run a waypoint: no waypoint stands before them, and no policy that needs the request says that it holds there. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { MeshObject } from '@ambit/api';

import { AMBIENT, workload } from '../mesh.testing.ts';
import { gateway, modelOf, pod, policy, service } from '../objects.testing.ts';

describe('a captured pod that runs a waypoint', () => {
  const like = (account: string, ...more: readonly (readonly [string, string])[]) =>
    pod('reviews', '10.0.0.1', {
      account,
      labels: {
        app: 'reviews',
        'gateway.networking.k8s.io/gateway-name': 'nobody',
        ...Object.fromEntries(more),
      },
    });
  const looks = like('nobody');
  const onGets = (spec: object = {}, space = 'shop') =>
    policy(
      'p',
      { rules: [{ to: [{ operation: { methods: ['GET'] } }] }], ...spec },
      { namespace: space },
    );
  const selecting = { selector: { matchLabels: { app: 'reviews' } } };
  const atService = { targetRefs: [{ group: '', kind: 'Service', name: 'reviews' }] };
  const plain = pod('web', '10.0.0.2', { labels: { app: 'web' } });
  const rows: readonly (readonly [string, readonly MeshObject[], boolean])[] = [
    ['the policy selects it', [looks, onGets(selecting)], true],
    // Enforced was True of these, once every proxy had acknowledged them.
    ['the policy is of its namespace', [looks, onGets()], true],
    ['it is not the only one in the namespace', [looks, plain, onGets()], true],
    ['the policy is of the mesh', [looks, onGets({}, 'istio-system')], true],
    ['the policy of the mesh selects it', [looks, onGets(selecting, 'istio-system')], true],
    ['the policy of its namespace takes notes', [looks, onGets({ action: 'AUDIT' })], true],
    ['the policy is of another namespace', [looks, onGets({}, 'other')], false],
    [
      'the policy selects others',
      [looks, plain, onGets({ selector: { matchLabels: { app: 'web' } } })],
      false,
    ],
    ['the policy targets its Service', [looks, onGets(atService)], false],
    ['agents can decide the policy', [looks, onGets({ rules: [{}] })], false],
    ['it runs as another', [like('web'), onGets()], false],
    ['it is not captured', [like('nobody', ['istio.io/dataplane-mode', 'none']), onGets()], false],
  ];
  for (const [title, objects, isOpen] of rows) {
    it(`is ${isOpen ? 'said to be judged by nobody' : 'nothing to say'} where ${title}`, () => {
      const { outputs } = modelOf(
        AMBIENT,
        gateway('nobody'),
        service('reviews', '10.96.0.1'),
        ...objects,
      );
      const all = [...outputs.statuses.values()].flatMap(({ findings }) => findings);
      const found = all.filter(({ code }) => code === 'WAYPOINT_UNJUDGED');
      assert.equal(found.length, isOpen ? 1 : 0);
      if (isOpen) assert.match(found[0]?.message ?? '', /^Pod\/shop\/reviews runs a waypoint/);
    });
  }

  it('is no longer said once the pod is out of the mesh', () => {
    const model = modelOf(AMBIENT, gateway('nobody'), looks, onGets());
    const codes = () =>
      model.outputs.statuses.get('AuthorizationPolicy/shop/p')?.findings.map(({ code }) => code);
    assert.equal(workload(model, 'reviews').guard, undefined);
    assert.deepEqual(codes(), ['WAYPOINT_UNJUDGED']);
    model.apply({ upserts: [like('nobody', ['istio.io/dataplane-mode', 'none'])] });
    assert.deepEqual(codes(), []);
  });
});
