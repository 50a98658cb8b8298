/** Who waited for a place at an endpoint goes to nobody who left meanwhile. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { MeshIndex, WaypointView } from '@ambit/model';
import { connPair } from '@ambit/proxy/testing';
import { HOST, PORT, service, VIP, workload } from '../testing.ts';
import { MeshContext } from './mesh-context.ts';
import { WaypointPlane } from './waypoint-plane.ts';

const CALLER = {
  identity: 'spiffe://cluster.local/ns/shop/sa/client',
  ...{ trustDomain: 'cluster.local', namespace: 'shop', serviceAccount: 'client' },
  ...{ ip: '10.0.0.7', port: 40_000 },
};
const SERVER = workload('reviews', 8080);
const { signal } = new AbortController();

describe('WaypointPlane.dial', () => {
  for (const [what, change, isDialled] of [
    ['is there', { changed: [], removed: [] }, true],
    ['is there with another label', changedTo({ labels: { v: '2' } }), true],
    ['left', { changed: [], removed: [SERVER.uid] }, false],
    ['moved to another address', changedTo({ addresses: ['127.0.0.9'] }), false],
  ] as const) {
    it(`${isDialled ? 'goes' : 'does not go'} to an endpoint that ${what}`, async () => {
      const index = new MeshIndex({ network: '' });
      index.apply({ ...changedTo({}), removed: [] });
      index.apply({ changed: [{ kind: 'service', service: service('HTTP11') }], removed: [] });
      const view = new WaypointView(index, {
        ...{ namespace: 'shop', name: 'waypoint', className: 'istio-waypoint' },
        ...{ trustDomain: 'cluster.local', rootNamespace: 'istio-system' },
        clusterDomain: 'cluster.local',
      });
      const dialled: string[] = [];
      const mesh = new MeshContext({
        ...{ index, view },
        dial: async ({ endpoint }) => {
          dialled.push(endpoint.workload.uid);
          return connPair()[0];
        },
      });
      const destination = {
        ...({ kind: 'service', protocol: 'HTTP11' } as const),
        ...{ service: service('HTTP11'), port: PORT, authority: `${VIP}:${PORT}` },
      };
      const plane = new WaypointPlane(CALLER, destination, mesh);
      const cluster = { host: HOST, port: PORT };
      const [endpoint = assert.fail('no endpoint')] = plane.cluster(cluster)?.endpoints ?? [];
      index.apply(change);
      mesh.changed();
      const conn = plane.dial({ endpoint, cluster }, signal);
      if (isDialled) {
        (await conn).destroy();
      } else {
        await assert.rejects(conn, { code: 'HBONE_ENDPOINT_LEFT', retryable: true });
      }
      assert.deepEqual(dialled, isDialled ? [SERVER.uid] : []);
    });
  }
});

function changedTo(parts: Parameters<typeof workload>[2]) {
  return {
    changed: [{ kind: 'workload', workload: { ...SERVER, ...parts } } as const],
    removed: [],
  };
}
