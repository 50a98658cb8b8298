/** What a waypoint takes for its own to serve: what is bound to it, and no service of another namespace that points at it. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Address, MeshIndex, WaypointView } from '@ambit/model';
import { PORT, service, WAYPOINT_ADDRESS, WAYPOINT_ID, workload } from '../testing.ts';
import { destinationOf } from './destination.ts';
import type { WorkerConfig } from './messages.ts';

const CONFIG: WorkerConfig = {
  namespace: 'shop',
  name: 'waypoint',
  className: 'istio-waypoint',
  serviceName: 'waypoint',
  identity: WAYPOINT_ID,
  trustDomain: 'cluster.local',
  rootNamespace: 'istio-system',
  clusterDomain: 'cluster.local',
  network: '',
  logSpec: 'info',
};
const PORTS = [{ servicePort: PORT, targetPort: 8080, appProtocol: 'HTTP11' }] as const;

/** `db` without a waypoint of its own, with a pod of `shop` behind it. */
function dbOf(namespace: string, parts: Parameters<typeof workload>[2]): readonly Address[] {
  const hostname = `db.${namespace}.svc.cluster.local`;
  const { waypoint: _, ...unbound } = service('HTTP11', { name: 'db', namespace, hostname });
  const services = { [`${namespace}/${hostname}`]: PORTS };
  return [
    { kind: 'service', service: unbound },
    { kind: 'workload', workload: workload('reviews', 8080, { services, ...parts }) },
  ];
}

function isServed(namespace: string, addresses: readonly Address[]): boolean {
  const index = new MeshIndex({ network: '' });
  index.apply({ changed: addresses, removed: [] });
  const view = new WaypointView(index, CONFIG);
  const authority = `db.${namespace}.svc.cluster.local:${PORT}`;
  return destinationOf(authority, 'client', { view, index, config: CONFIG }).kind === 'destination';
}

describe('a service without a waypoint', () => {
  const nobody = { waypointIdentities: [], ports: [], exclusive: true, because: [] };
  const guarded = { guard: { ...nobody, waypointIdentities: [WAYPOINT_ID] } };
  const bound = { guard: nobody, waypoint: WAYPOINT_ADDRESS };
  for (const [title, namespace, parts, expected] of [
    ['with a pod of its namespace that is guarded by this one', 'shop', guarded, true],
    ['with a pod of its namespace that is bound to this one', 'shop', bound, true],
    ['of another namespace, with such a guarded pod', 'other', guarded, false],
    ['of another namespace, with such a bound pod', 'other', bound, false],
    ['with a pod of its namespace that is behind nobody', 'shop', { guard: nobody }, false],
  ] as const) {
    it(`is ${expected ? '' : 'not '}served: ${title}`, () => {
      assert.equal(isServed(namespace, dbOf(namespace, parts)), expected);
    });
  }

  it('is served where it is bound by its own resource, whatever its namespace', () => {
    const [first, ...rest] = dbOf('other', {});
    assert.ok(first?.kind === 'service');
    const own = { ...first.service, waypoint: WAYPOINT_ADDRESS };
    assert.equal(isServed('other', [{ kind: 'service', service: own }, ...rest]), true);
  });
});
