import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  CONTROLLER,
  GATEWAY_PARENT,
  gatewayOf,
  line,
  listenerOf,
  routeOf,
  SERVICE_PARENT,
  worldOf,
} from './gateway-api.testing.ts';
import { routeParentStatuses } from './route-status.ts';
import type { GatewayApiWorld, RouteFacts } from './world.ts';

const OK = 'ResolvedRefs=True/ResolvedRefs';
const withGateway = (changes: Parameters<typeof gatewayOf>[0]): Partial<GatewayApiWorld> => ({
  gateway: () => gatewayOf(changes),
});
const backend = (changes: object) => ({
  backendRefs: [{ group: '', kind: 'Service', name: 'reviews', port: 80, ...changes }],
});
const atGateway = { parentRefs: [GATEWAY_PARENT] };

describe('routeParentStatuses', () => {
  const ROWS: readonly (readonly [
    title: string,
    route: Partial<RouteFacts>,
    world: Partial<GatewayApiWorld>,
    says: string,
  ])[] = [
    ['a Service', {}, {}, `Accepted=True/Accepted ${OK}`],
    [
      'a Service of group core',
      { parentRefs: [{ ...SERVICE_PARENT, group: 'core' }] },
      {},
      `Accepted=True/Accepted ${OK}`,
    ],
    [
      'a port of it',
      { parentRefs: [{ ...SERVICE_PARENT, port: 8080 }] },
      {},
      `Accepted=True/Accepted ${OK}`,
    ],
    [
      'a port that it lacks',
      { parentRefs: [{ ...SERVICE_PARENT, port: 81 }] },
      {},
      `Accepted=False/NoMatchingParent ${OK}`,
    ],
    [
      'a Service that is not there',
      { parentRefs: [{ ...SERVICE_PARENT, name: 'x' }] },
      {},
      `Accepted=False/NoMatchingParent ${OK}`,
    ],
    [
      'a Service of another namespace',
      { parentRefs: [{ ...SERVICE_PARENT, name: 'ratings', namespace: 'other' }] },
      {},
      `Accepted=True/Accepted ${OK}`,
    ],
    [
      'an ExternalName',
      { parentRefs: [{ ...SERVICE_PARENT, name: 'outside' }] },
      {},
      `Accepted=False/UnsupportedValue ${OK}`,
    ],
    [
      'a ServiceEntry',
      { parentRefs: [{ group: 'networking.istio.io', kind: 'ServiceEntry', name: 'api' }] },
      {},
      `Accepted=True/Accepted ${OK}`,
    ],
    [
      'a route that goes before',
      {},
      { beatenBy: () => 'GRPCRoute/shop/g' },
      `Accepted=False/Conflicted ${OK}`,
    ],
    [
      'a kind that is not served',
      { kind: 'GRPCRoute' },
      {},
      `Accepted=False/UnsupportedValue ${OK}`,
    ],
    [
      'a refused route',
      { refusal: { reason: 'IncompatibleFilters', message: 'x' } },
      {},
      `Accepted=False/IncompatibleFilters ${OK}`,
    ],
    [
      'a backend that is not there',
      backend({ name: 'x' }),
      {},
      'Accepted=True/Accepted ResolvedRefs=False/BackendNotFound',
    ],
    [
      'a backend without that port',
      backend({ port: 81 }),
      {},
      'Accepted=True/Accepted ResolvedRefs=False/BackendNotFound',
    ],
    [
      'a backend without port',
      backend({ port: undefined }),
      {},
      'Accepted=True/Accepted ResolvedRefs=False/UnsupportedValue',
    ],
    [
      'a Hostname',
      {
        backendRefs: [
          { group: 'networking.istio.io', kind: 'Hostname', name: 'api.example', port: 443 },
        ],
      },
      {},
      `Accepted=True/Accepted ${OK}`,
    ],
    [
      'a Hostname that nobody has',
      {
        backendRefs: [{ group: 'networking.istio.io', kind: 'Hostname', name: 'x', port: 443 }],
      },
      {},
      'Accepted=True/Accepted ResolvedRefs=False/BackendNotFound',
    ],
    [
      'a ServiceEntry as a backend',
      {
        backendRefs: [
          { group: 'networking.istio.io', kind: 'ServiceEntry', name: 'api', port: 443 },
        ],
      },
      {},
      'Accepted=True/Accepted ResolvedRefs=False/InvalidKind',
    ],
    [
      'a backend of another kind',
      backend({ kind: 'Bucket', group: 'x.io' }),
      {},
      'Accepted=True/Accepted ResolvedRefs=False/InvalidKind',
    ],
    [
      'a Service of a wrong group',
      backend({ group: 'x.io' }),
      {},
      'Accepted=True/Accepted ResolvedRefs=False/InvalidKind',
    ],
    [
      'a backend in another namespace, in the mesh',
      backend({ name: 'ratings', namespace: 'other' }),
      {},
      `Accepted=True/Accepted ${OK}`,
    ],
    [
      'the same from a Gateway',
      { ...atGateway, ...backend({ name: 'ratings', namespace: 'other' }) },
      {},
      'Accepted=True/Accepted ResolvedRefs=False/RefNotPermitted',
    ],
    [
      'the same, granted',
      { ...atGateway, ...backend({ name: 'ratings', namespace: 'other' }) },
      { isGranted: () => true },
      `Accepted=True/Accepted ${OK}`,
    ],
    [
      'nothing there and not granted either',
      { ...atGateway, ...backend({ name: 'x', namespace: 'other' }) },
      {},
      'Accepted=True/Accepted ResolvedRefs=False/RefNotPermitted',
    ],
    ['a Gateway', atGateway, {}, `Accepted=True/Accepted ${OK}`],
    [
      'a listener that is not there',
      { parentRefs: [{ ...GATEWAY_PARENT, sectionName: 'x' }] },
      {},
      `Accepted=False/NoMatchingParent ${OK}`,
    ],
    [
      'a listener of another port',
      { parentRefs: [{ ...GATEWAY_PARENT, port: 81 }] },
      {},
      `Accepted=False/NoMatchingParent ${OK}`,
    ],
    [
      'a listener for others',
      atGateway,
      withGateway({ listeners: [listenerOf({ admits: () => false })] }),
      `Accepted=False/NotAllowedByListeners ${OK}`,
    ],
    [
      'a listener for other kinds',
      { ...atGateway, kind: 'TCPRoute' },
      {},
      `Accepted=False/NotAllowedByListeners ${OK}`,
    ],
    [
      'another hostname',
      { ...atGateway, hostnames: ['a.b'] },
      withGateway({ listeners: [listenerOf({ hostname: 'c.d' })] }),
      `Accepted=False/NoMatchingListenerHostname ${OK}`,
    ],
    [
      'a hostname under a wildcard',
      { ...atGateway, hostnames: ['x.a.b'] },
      withGateway({ listeners: [listenerOf({ hostname: '*.a.b' })] }),
      `Accepted=True/Accepted ${OK}`,
    ],
    [
      'a wildcard over the hostname',
      { ...atGateway, hostnames: ['*.b'] },
      withGateway({ listeners: [listenerOf({ hostname: 'a.b' })] }),
      `Accepted=True/Accepted ${OK}`,
    ],
    [
      'a wildcard that is not over its own name',
      { ...atGateway, hostnames: ['a.b'] },
      withGateway({ listeners: [listenerOf({ hostname: '*.a.b' })] }),
      `Accepted=False/NoMatchingListenerHostname ${OK}`,
    ],
    [
      'a waypoint',
      atGateway,
      withGateway({ isWaypoint: true }),
      `Accepted=False/UnsupportedValue ${OK}`,
    ],
  ];
  for (const [title, route, world, says] of ROWS) {
    it(`says ${says} of ${title}`, () => {
      const [entry, ...more] = routeParentStatuses(routeOf(route), worldOf(world));
      assert.equal(line(entry?.conditions ?? []), says);
      assert.deepEqual(more, []);
      assert.equal(entry?.controllerName, CONTROLLER);
      for (const { observedGeneration } of entry?.conditions ?? [])
        assert.equal(observedGeneration, 7);
    });
  }

  it('leaves parents of others alone', () => {
    const parentRefs = [
      { ...GATEWAY_PARENT, name: 'nginx' },
      { group: 'x.io', kind: 'Mesh', name: 'm' },
      { ...GATEWAY_PARENT, group: '' },
      SERVICE_PARENT,
    ];
    const entries = routeParentStatuses(routeOf({ parentRefs }), worldOf());
    assert.deepEqual(
      entries.map(({ parentRef }) => parentRef),
      [SERVICE_PARENT],
    );
  });
});
