import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { AdminProxy } from '@ambit/model';
import { AdminClient } from '../admin-client.ts';
import type { AdminOf, MeshTarget } from '../target/mesh-target.ts';
import { FakeController, type FakeState, NOW_MS } from '../testing.ts';
import { FINE_MESH, manyBroken, TROUBLED_MESH } from '../testing-meshes.ts';
import { collectStatus } from './collect-status.ts';

const [AGENT] = FINE_MESH.proxies ?? [];
assert.ok(AGENT);
const UNREACHABLE: AdminProxy = (({ connectedSinceMs: _, ...rest }) => rest)(AGENT);

function meshWith(
  controllers: readonly AdminOf[],
  versions: Readonly<Record<string, string>> = {},
): MeshTarget {
  return {
    where: 'here',
    meshNamespace: 'istio-system',
    controllers: () => Promise.resolve(controllers),
    proxies: () =>
      Promise.resolve(
        Object.entries(versions).map(([name, version]) => ({
          kind: 'node-agent' as const,
          name,
          version,
          isReady: true,
          client: new AdminClient('/nobody.sock'),
        })),
      ),
    nodeOf: () => Promise.resolve(undefined),
  };
}

async function replica(
  name: string,
  state: FakeState,
): Promise<AdminOf & { readonly fake: FakeController }> {
  const fake = await FakeController.start(state);
  return { name, fake, client: new AdminClient(fake.socket), isReady: true };
}

describe('collectStatus', () => {
  it('believes the replica that a proxy is connected to', async () => {
    const a = await replica('a', {
      ...FINE_MESH,
      proxies: [{ ...UNREACHABLE, id: 'Pod/istio-system/agent' }],
    });
    const b = await replica('b', FINE_MESH);
    await using _a = a.fake;
    await using _b = b.fake;
    const { proxies, problems, replicas } = await collectStatus(meshWith([a, b]));
    assert.deepEqual(proxies, [AGENT]);
    assert.deepEqual(problems, []);
    assert.deepEqual(
      replicas.map(({ name }) => name),
      ['a', 'b'],
    );
  });

  it('says which replica does not answer, and goes on with the others', async () => {
    const b = await replica('b', FINE_MESH);
    await using _b = b.fake;
    const gone = { name: 'a', client: new AdminClient('/nobody.sock'), isReady: false };
    const { problems } = await collectStatus(meshWith([gone, b]));
    assert.deepEqual(problems, ['controller a does not answer: there is no such socket']);
    await assert.rejects(collectStatus(meshWith([gone])), /does not answer/);
  });

  it('says the same of a controller that has no page for a summary', async () => {
    for (const mesh of [FINE_MESH, TROUBLED_MESH, { ...FINE_MESH, statuses: manyBroken(250) }]) {
      const a = await replica('a', mesh);
      const old = await replica('a', { ...mesh, isOld: true });
      await using _a = a.fake;
      await using _old = old.fake;
      assert.deepEqual(await collectStatus(meshWith([old])), await collectStatus(meshWith([a])));
    }
  });

  it('names so many problems, and counts the others', async () => {
    const a = await replica('a', { ...FINE_MESH, statuses: manyBroken(250) });
    await using _a = a.fake;
    const { problems, more } = await collectStatus(meshWith([a]));
    assert.deepEqual([problems.length, more], [200, { namespaces: 0, problems: 50 }]);
  });

  it('counts a certificate by its last issue, wherever it was', async () => {
    const [certificate] = FINE_MESH.certificates ?? [];
    assert.ok(certificate);
    const old = { ...certificate, notAfterMs: NOW_MS - 1 };
    const a = await replica('a', { ...FINE_MESH, certificates: [old] });
    const b = await replica('b', FINE_MESH);
    await using _a = a.fake;
    await using _b = b.fake;
    const { certificates, problems } = await collectStatus(meshWith([a, b]));
    assert.deepEqual(certificates, { count: 1, expired: 0, next: certificate });
    assert.deepEqual(problems, []);
  });

  it('believes what a replica that has the stream says of the version', async () => {
    const said = { ...AGENT, version: '0.1.7' };
    const a = await replica('a', { ...FINE_MESH, proxies: [{ ...AGENT, replica: 'b' }] });
    const b = await replica('b', { ...FINE_MESH, proxies: [said] });
    await using _a = a.fake;
    await using _b = b.fake;
    const { proxies, versions } = await collectStatus(meshWith([a, b], { n1: 'latest' }));
    assert.deepEqual(proxies, [said]);
    assert.deepEqual(versions, [{ name: 'n1', version: '0.1.7', pod: 'istio-system/agent-n1' }]);
  });

  it('finds an old pod of a waypoint behind a new one', async () => {
    const one = { ...AGENT, kind: 'waypoint', name: 'shop/waypoint', captured: [] } as const;
    const idOf = (pod: string) => `waypoint~10.0.0.9~${pod}.shop~shop.svc.cluster.local`;
    const proxies = [
      AGENT,
      { ...one, id: idOf('a-old'), version: '0.1.0' },
      { ...one, id: idOf('b-new'), version: '0.3.0' },
    ];
    const a = await replica('a', { ...FINE_MESH, controller: { version: '0.3.0' }, proxies });
    await using _a = a.fake;
    const { problems } = await collectStatus(meshWith([a]));
    assert.equal(problems.length, 1);
    assert.match(problems[0] ?? '', /^shop\/waypoint \(pod shop\/a-old\) is of version 0\.1\.0,/);
  });

  it('finds a pod of a waypoint that is connected nowhere behind one that is', async () => {
    const waypoint = { ...AGENT, kind: 'waypoint', name: 'shop/waypoint', captured: [] } as const;
    const { connectedSinceMs: _, ...away } = waypoint;
    const there = { ...waypoint, id: 'waypoint~10.0.0.9~w1', pod: 'Pod/shop/w1' };
    const missing = (pod: string) => ({ ...away, id: pod, pod, address: '' });
    const gone = missing('Pod/shop/w2');
    const { pod: __, ...old } = there;
    for (const [theirs, expected] of [
      [there, [gone, there]],
      // An older controller does not say which pod it is: it may be the other one.
      [old, [old]],
    ] as const) {
      const proxiesOfA = [missing('Pod/shop/w1'), gone];
      const a = await replica('a', { ...FINE_MESH, proxies: proxiesOfA });
      const b = await replica('b', { ...FINE_MESH, proxies: [theirs, gone] });
      await using _a = a.fake;
      await using _b = b.fake;
      const { proxies } = await collectStatus(meshWith([a, b]));
      assert.deepEqual([...proxies].sort(byId), [...expected].sort(byId));
    }
  });

  it('warns of what is supported only while an upgrade runs', async () => {
    const a = await replica('a', { ...FINE_MESH, proxies: [{ ...AGENT, version: '0.0.9' }] });
    await using _a = a.fake;
    const { problems, warnings } = await collectStatus(meshWith([a]));
    assert.deepEqual(problems, []);
    assert.deepEqual(warnings, [
      'n1 is of version 0.0.9, one minor version older than the controller (0.1.0): supported while an upgrade runs',
    ]);
  });

  it('warns of a rotation of the root that goes on', async () => {
    const proxy = 'node-agent n1';
    const ca = { step: 'sign', sinceMs: NOW_MS - 60_000, roots: [], proxies: 2 };
    const a = await replica('a', {
      ...FINE_MESH,
      ca: { ...ca, waiting: [{ proxy, reason: 'its root file lacks a root' }] },
    });
    await using _a = a.fake;
    const { problems, warnings } = await collectStatus(meshWith([a]));
    assert.deepEqual(problems, []);
    assert.deepEqual(warnings, [
      'the root is being rotated: at step "sign" since 60s, 1 of 2 proxies are behind (meshctl ca status; go on with meshctl ca rotate)',
    ]);
    const b = await replica('b', { ...FINE_MESH, ca: { ...ca, step: 'none', waiting: [] } });
    await using _b = b.fake;
    assert.deepEqual((await collectStatus(meshWith([b]))).warnings, []);
  });

  for (const [title, state, versions, expected] of [
    [
      'a pod that is not captured',
      { proxies: [{ ...AGENT, captured: [] }] },
      {},
      '2 of 2 pods of namespace shop are not captured: client-1, reviews-1',
    ],
    [
      'a root that ends',
      { controller: { root: { notAfterMs: NOW_MS + 86_400_000 } } },
      {},
      'the root certificate ends in 24h',
    ],
    [
      'an agent that is too new, by what it says itself',
      { proxies: [{ ...AGENT, version: '0.2.0' }] },
      { n1: '0.1.0' },
      'n1 is of version 0.2.0, one minor version newer than the controller (0.1.0): upgrade the controller; it does not know what they may be told',
    ],
    [
      'an agent that is too old',
      { controller: { version: '0.3.0' } },
      { n1: '0.1.0' },
      'n1 is of version 0.1.0, 2 minor versions older than the controller (0.3.0): upgrade them one minor version at a time: meshctl upgrade, kubectl rollout status',
    ],
    [
      'a bypass',
      {
        proxies: [{ ...AGENT, captured: [] }],
        statuses: [
          ...(FINE_MESH.statuses ?? []),
          {
            key: 'Namespace/shop',
            conditions: [
              {
                type: 'Bypassed',
                status: 'True',
                reason: 'BreakGlass',
                message: 'until noon',
                observedGeneration: 0,
              },
            ],
            findings: [],
          },
        ],
      },
      {},
      'namespace shop is bypassed: until noon',
    ],
  ] as const) {
    it(`finds ${title}`, async () => {
      const a = await replica('a', { ...FINE_MESH, ...state });
      await using _a = a.fake;
      const { problems } = await collectStatus(meshWith([a], versions));
      assert.deepEqual(problems, [expected]);
    });
  }
});

function byId(a: { readonly id: string }, b: { readonly id: string }): number {
  return a.id < b.id ? -1 : 1;
}
