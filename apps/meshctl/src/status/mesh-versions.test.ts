import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { AdminClient } from '../admin-client.ts';
import { FakeController } from '../testing.ts';
import { FINE_MESH } from '../testing-meshes.ts';
import { meshVersions } from './mesh-versions.ts';

const [AGENT] = FINE_MESH.proxies ?? [];
assert.ok(AGENT);

describe('meshVersions', () => {
  it('takes what programs say before the tags of their images, and tags of those that do not answer', async () => {
    const { connectedSinceMs: _, ...gone } = { ...AGENT, name: 'n3', version: '0.0.1' };
    const proxies = [{ ...AGENT, version: '0.1.7' }, gone];
    await using fake = await FakeController.start({ ...FINE_MESH, proxies });
    const admin = (name: string, version: string) => ({
      name,
      version,
      isReady: true,
      client: new AdminClient('/nobody.sock'),
    });
    const found = await meshVersions({
      where: 'here',
      meshNamespace: 'istio-system',
      controllers: () =>
        Promise.resolve([
          { ...admin('a', 'latest'), client: new AdminClient(fake.socket) },
          admin('b', '0.1.1'),
        ]),
      proxies: () =>
        Promise.resolve([
          { kind: 'node-agent', ...admin('n1', 'latest') },
          { kind: 'node-agent', ...admin('n2', '0.0.9') },
        ]),
      nodeOf: () => Promise.resolve(undefined),
    });
    assert.deepEqual(found, {
      controllers: [
        { name: 'a', version: '0.1.0' },
        { name: 'b', version: '0.1.1' },
      ],
      proxies: [
        { name: 'n1', version: '0.1.7' },
        { name: 'n2', version: '0.0.9' },
      ],
      silent: ['b'],
    });
  });

  it('counts each pod of a waypoint', async () => {
    const one = { ...AGENT, kind: 'waypoint', name: 'shop/waypoint' } as const;
    const proxies = ['0.1.0', '0.3.0'].map((version, i) => {
      return { ...one, version, id: `waypoint~10.0.0.9~pod-${i}.shop~shop.svc.cluster.local` };
    });
    await using fake = await FakeController.start({ ...FINE_MESH, proxies });
    const { proxies: found } = await meshVersions({
      where: 'here',
      meshNamespace: 'istio-system',
      controllers: () =>
        Promise.resolve([{ name: 'a', isReady: true, client: new AdminClient(fake.socket) }]),
      proxies: () => Promise.resolve([]),
      nodeOf: () => Promise.resolve(undefined),
    });
    assert.deepEqual(found, [
      { name: 'shop/waypoint (pod shop/pod-0)', version: '0.1.0' },
      { name: 'shop/waypoint (pod shop/pod-1)', version: '0.3.0' },
    ]);
  });
});
