import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { SUPPORTED_FEATURES } from './features.ts';
import {
  CONTROLLER,
  GATEWAY_PARENT,
  gatewayOf,
  line,
  listenerOf,
  routeOf,
  worldOf,
} from './gateway-api.testing.ts';
import { gatewayApiStatus, gatewayClassStatus } from './gateway-status.ts';
import type { GatewayApiWorld, GatewayFacts, GatewayState, ListenerFacts } from './world.ts';
import { GATEWAY_GROUP } from './world.ts';

const READY: GatewayState = {
  isProgrammed: true,
  addresses: [{ type: 'IPAddress', value: '10.0.0.1' }],
};
const statusOf = (
  gateway: Partial<GatewayFacts>,
  state = READY,
  world: Partial<GatewayApiWorld> = {},
) => gatewayApiStatus(gatewayOf(gateway), [], state, worldOf(world));

describe('gatewayClassStatus', () => {
  const options = { controllerName: CONTROLLER, features: ['B', 'A', 'B'] };
  const mine = { generation: 2, controllerName: CONTROLLER, hasParameters: false };

  it('accepts ours, with features in order and once', () => {
    const status = gatewayClassStatus(mine, options);
    assert.equal(line(status?.conditions ?? []), 'Accepted=True/Accepted');
    assert.equal(status?.conditions[0]?.observedGeneration, 2);
    assert.deepEqual(status.supportedFeatures, [{ name: 'A' }, { name: 'B' }]);
  });

  it('refuses parameters', () => {
    const status = gatewayClassStatus({ ...mine, hasParameters: true }, options);
    assert.equal(line(status?.conditions ?? []), 'Accepted=False/InvalidParameters');
  });

  it('is silent about classes of others', () => {
    assert.equal(gatewayClassStatus({ ...mine, controllerName: 'x' }, options), undefined);
  });

  it('knows its features in order', () => {
    assert.deepEqual(SUPPORTED_FEATURES, [...SUPPORTED_FEATURES].sort());
  });
});

describe('gatewayApiStatus', () => {
  const ip = (value: string) => [{ type: 'IPAddress', value }];
  const GATEWAYS: readonly (readonly [string, Partial<GatewayFacts>, GatewayState, string])[] = [
    ['one that works', {}, READY, 'Accepted=True/Accepted Programmed=True/Programmed'],
    [
      'one that does not run yet',
      {},
      { ...READY, isProgrammed: false },
      'Accepted=True/Accepted Programmed=False/Pending',
    ],
    [
      'one without address',
      {},
      { ...READY, addresses: [] },
      'Accepted=True/Accepted Programmed=False/AddressNotAssigned',
    ],
    [
      'the address it wants',
      { requestedAddresses: ip('10.0.0.1') },
      READY,
      'Accepted=True/Accepted Programmed=True/Programmed',
    ],
    [
      'an address that it cannot have',
      { requestedAddresses: ip('10.0.0.9') },
      READY,
      'Accepted=True/Accepted Programmed=False/AddressNotUsable',
    ],
    [
      'an address of an odd type',
      { requestedAddresses: [{ type: 'x/y', value: 'a' }] },
      READY,
      'Accepted=False/UnsupportedAddress Programmed=False/Invalid',
    ],
    [
      'no valid listener',
      { listeners: [listenerOf({ protocol: 'SCTP' })] },
      READY,
      'Accepted=False/ListenersNotValid Programmed=False/Invalid',
    ],
    [
      'one valid listener of two',
      { listeners: [listenerOf(), listenerOf({ name: 'x', protocol: 'SCTP', port: 81 })] },
      READY,
      'Accepted=True/ListenersNotValid Programmed=True/Programmed',
    ],
    [
      'a waypoint',
      { isWaypoint: true, listeners: [listenerOf({ protocol: 'HBONE', port: 15_008 })] },
      READY,
      'Accepted=True/Accepted Programmed=True/Programmed',
    ],
  ];
  for (const [title, gateway, state, says] of GATEWAYS) {
    it(`says ${says} of ${title}`, () => {
      const { conditions } = statusOf(gateway, state);
      assert.equal(line(conditions), says);
      for (const { observedGeneration } of conditions) assert.equal(observedGeneration, 3);
    });
  }

  const secret = (changes: object = {}) => ({
    certificateRefs: [{ group: '', kind: 'Secret', name: 'cert', ...changes }],
  });
  const kinds = (...names: readonly string[]) => ({
    kinds: names.map((kind) => ({ group: GATEWAY_GROUP, kind })),
  });
  const LISTENERS: readonly (readonly [
    string,
    Partial<ListenerFacts>,
    Partial<GatewayApiWorld>,
    string,
    string,
  ])[] = [
    ['HTTP', {}, {}, 'ResolvedRefs=True/ResolvedRefs Programmed=True/Programmed', 'HTTPRoute'],
    [
      'HTTP where GRPCRoutes are served',
      {},
      { servedRoutes: ['HTTPRoute', 'GRPCRoute'] },
      'ResolvedRefs=True/ResolvedRefs Programmed=True/Programmed',
      'HTTPRoute,GRPCRoute',
    ],
    [
      'TCP',
      { protocol: 'TCP' },
      {},
      'ResolvedRefs=True/ResolvedRefs Programmed=True/Programmed',
      'TCPRoute',
    ],
    [
      'HBONE',
      { protocol: 'HBONE' },
      {},
      'ResolvedRefs=True/ResolvedRefs Programmed=True/Programmed',
      '',
    ],
    [
      'a kind that it has',
      kinds('HTTPRoute'),
      {},
      'ResolvedRefs=True/ResolvedRefs Programmed=True/Programmed',
      'HTTPRoute',
    ],
    [
      'a kind that it has and one that it lacks',
      kinds('HTTPRoute', 'X'),
      {},
      'ResolvedRefs=False/InvalidRouteKinds Programmed=False/Invalid',
      'HTTPRoute',
    ],
    [
      'a kind that it lacks',
      kinds('TCPRoute'),
      {},
      'ResolvedRefs=False/InvalidRouteKinds Programmed=False/Invalid',
      '',
    ],
    [
      'a certificate',
      secret(),
      {},
      'ResolvedRefs=True/ResolvedRefs Programmed=True/Programmed',
      'HTTPRoute',
    ],
    [
      'a Secret without certificate',
      secret({ name: 'opaque' }),
      {},
      'ResolvedRefs=False/InvalidCertificateRef Programmed=False/Invalid',
      'HTTPRoute',
    ],
    [
      'no Secret',
      secret({ name: 'x' }),
      {},
      'ResolvedRefs=False/InvalidCertificateRef Programmed=False/Invalid',
      'HTTPRoute',
    ],
    [
      'a certificate in a ConfigMap',
      secret({ kind: 'ConfigMap' }),
      {},
      'ResolvedRefs=False/InvalidCertificateRef Programmed=False/Invalid',
      'HTTPRoute',
    ],
    [
      'a certificate of another namespace',
      secret({ namespace: 'other' }),
      {},
      'ResolvedRefs=False/RefNotPermitted Programmed=False/Invalid',
      'HTTPRoute',
    ],
    [
      'the same, granted',
      secret({ namespace: 'other' }),
      { isGranted: () => true },
      'ResolvedRefs=True/ResolvedRefs Programmed=True/Programmed',
      'HTTPRoute',
    ],
  ];
  for (const [title, listener, world, says, supported] of LISTENERS) {
    it(`says ${says} of a listener with ${title}`, () => {
      const [found] = statusOf({ listeners: [listenerOf(listener)] }, READY, world).listeners;
      assert.equal(
        line(found?.conditions ?? []),
        `Accepted=True/Accepted Conflicted=False/NoConflicts ${says}`,
      );
      assert.equal(found?.supportedKinds.map(({ kind }) => kind).join(), supported);
    });
  }

  it('says which of two listeners is in the way', () => {
    const conflicts = (second: Partial<ListenerFacts>) => {
      const listeners = [
        listenerOf({ protocol: 'HTTPS', hostname: 'a' }),
        listenerOf({ name: 'b', protocol: 'HTTPS', ...second }),
      ];
      return statusOf({ listeners }).listeners.map(({ conditions }) => conditions[1]?.reason);
    };
    assert.deepEqual(conflicts({ hostname: 'b' }), ['NoConflicts', 'NoConflicts']);
    assert.deepEqual(conflicts({ hostname: 'a' }), ['NoConflicts', 'HostnameConflict']);
    assert.deepEqual(conflicts({ hostname: 'b', protocol: 'TLS' }), ['NoConflicts', 'NoConflicts']);
    assert.deepEqual(conflicts({ hostname: 'b', protocol: 'HTTP' }), [
      'NoConflicts',
      'ProtocolConflict',
    ]);
    assert.deepEqual(conflicts({ hostname: 'a', port: 81 }), ['NoConflicts', 'NoConflicts']);
  });

  it('counts routes that attach, each once a listener', () => {
    const listeners = [
      listenerOf(),
      listenerOf({ name: 'b', port: 81 }),
      listenerOf({ name: 'c', port: 82, admits: () => false }),
    ];
    const routes = [
      routeOf({ parentRefs: [GATEWAY_PARENT, { ...GATEWAY_PARENT, sectionName: 'http' }] }),
      routeOf({ parentRefs: [{ ...GATEWAY_PARENT, sectionName: 'b' }] }),
      routeOf({ parentRefs: [{ ...GATEWAY_PARENT, sectionName: 'c' }] }),
      routeOf({ parentRefs: [{ ...GATEWAY_PARENT, name: 'other' }] }),
      routeOf({ namespace: 'other', parentRefs: [GATEWAY_PARENT] }),
      routeOf({
        parentRefs: [GATEWAY_PARENT],
        refusal: { reason: 'UnsupportedValue', message: '' },
      }),
      // A backend that is missing does not keep a route from attaching.
      routeOf({
        parentRefs: [GATEWAY_PARENT],
        backendRefs: [{ group: '', kind: 'Service', name: 'x' }],
      }),
    ];
    const status = gatewayApiStatus(gatewayOf({ listeners }), routes, READY, worldOf());
    assert.deepEqual(
      status.listeners.map(({ attachedRoutes }) => attachedRoutes),
      [2, 3, 0],
    );
    assert.deepEqual(status.addresses, READY.addresses);
  });
});
