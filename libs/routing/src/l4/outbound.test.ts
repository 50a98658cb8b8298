import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { ViewGatewayAddress } from '../mesh-view.ts';
import { FakeView, fakeService, fakeWorkload, seededRandom } from '../testing.ts';
import { resolveOutbound } from './outbound.ts';

const REVIEWS = 'shop/reviews.shop.svc.cluster.local';
const WAYPOINT: ViewGatewayAddress = {
  destination: {
    kind: 'hostname',
    hostname: { namespace: 'shop', hostname: 'waypoint.shop.svc.cluster.local' },
  },
  hboneMtlsPort: 15008,
};
const client = fakeWorkload('client', { addresses: ['10.0.0.1', 'fd00::1'] });
const reviewsPod = fakeWorkload('reviews-v1', {
  addresses: ['10.0.0.2', 'fd00::2'],
  serviceAccount: 'reviews',
  services: { [REVIEWS]: [{ servicePort: 80, targetPort: 8080 }] },
});
const reviews = fakeService('reviews', {
  addresses: [{ network: '', address: '10.96.0.2' }],
  subjectAltNames: ['spiffe://other/ns/x/sa/y'],
});
const waypointService = fakeService('waypoint', {
  addresses: [{ network: '', address: '10.96.0.9' }],
  ports: [{ servicePort: 15008, targetPort: 15008 }],
});
const waypointPod = fakeWorkload('waypoint-0', {
  addresses: ['10.0.0.9'],
  serviceAccount: 'waypoint',
  tunnelProtocol: 'NONE',
  services: {
    'shop/waypoint.shop.svc.cluster.local': [{ servicePort: 15008, targetPort: 15008 }],
  },
});

function decide(
  view: FakeView,
  destination: { ip: string; port: number; source?: typeof client },
): Record<string, unknown> {
  const decision = resolveOutbound(
    {
      source: destination.source ?? client,
      destinationIp: destination.ip,
      port: destination.port,
    },
    view,
    seededRandom(1),
  );
  return { ...decision };
}

describe('resolveOutbound', () => {
  const plain = new FakeView({
    workloads: [
      client,
      reviewsPod,
      fakeWorkload('old', { addresses: ['10.0.0.3'], tunnelProtocol: 'NONE' }),
    ],
    services: [reviews],
  });

  it('passes an unknown destination through', () => {
    const decision = decide(plain, { ip: '192.0.2.1', port: 443 });
    assert.equal(decision['kind'], 'passthrough');
    assert.deepEqual(decision['dial'], { kind: 'ip', host: '192.0.2.1', port: 443 });
  });

  it('tunnels a service address to an endpoint, authority = pod address and target port', () => {
    const decision = decide(plain, { ip: '10.96.0.2', port: 80 });
    assert.equal(decision['kind'], 'hbone');
    assert.deepEqual(decision['dial'], { kind: 'ip', host: '10.0.0.2', port: 15008 });
    assert.equal(decision['authority'], '10.0.0.2:8080');
    assert.deepEqual(decision['expectedIdentities'], [
      'spiffe://other/ns/x/sa/y',
      'spiffe://cluster.local/ns/shop/sa/reviews',
    ]);
  });

  it('tunnels a pod address, IPv6 too', () => {
    const decision = decide(plain, { ip: 'FD00:0::2', port: 9000 });
    assert.equal(decision['kind'], 'hbone');
    assert.equal(decision['authority'], '[fd00::2]:9000');
    assert.deepEqual(decision['expectedIdentities'], ['spiffe://cluster.local/ns/shop/sa/reviews']);
  });

  it('dials a workload that is not captured in plain TCP', () => {
    const decision = decide(plain, { ip: '10.0.0.3', port: 9000 });
    assert.equal(decision['kind'], 'plain');
    assert.deepEqual(decision['dial'], { kind: 'ip', host: '10.0.0.3', port: 9000 });
  });

  for (const [title, ip, port, code] of [
    ['its own HBONE port', '10.0.0.1', 15008, 'ROUTING_ILLEGAL_PORT'],
    ['a capture port on loopback', '127.0.0.5', 15001, 'ROUTING_ILLEGAL_PORT'],
    ['a capture port on IPv6 loopback', '::1', 15006, 'ROUTING_ILLEGAL_PORT'],
    ['a port that the service lacks', '10.96.0.2', 81, 'ROUTING_PORT_UNKNOWN'],
  ] as const) {
    it(`refuses ${title}`, () => {
      const decision = decide(plain, { ip, port });
      assert.equal(decision['kind'], 'refuse');
      assert.equal(decision['code'], code);
    });
  }

  it('refuses a service without a healthy endpoint', () => {
    const view = new FakeView({
      workloads: [client, { ...reviewsPod, status: 'UNHEALTHY' }],
      services: [reviews],
    });
    const decision = decide(view, { ip: '10.96.0.2', port: 80 });
    assert.equal(decision['code'], 'ROUTING_NO_ENDPOINT');
    assert.match(String(decision['text']), /no healthy upstream/);
  });

  it('serves unhealthy endpoints where the service asks for all', () => {
    const view = new FakeView({
      workloads: [client, { ...reviewsPod, status: 'UNHEALTHY' }],
      services: [
        {
          ...reviews,
          loadBalancing: {
            routingPreference: [],
            mode: 'UNSPECIFIED',
            healthPolicy: 'ALLOW_ALL',
          },
        },
      ],
    });
    assert.equal(decide(view, { ip: '10.96.0.2', port: 80 })['kind'], 'hbone');
  });

  it('keeps a workload of the mesh in its tunnel inside the range of a passthrough service', () => {
    const range = fakeService('everything', {
      namespace: 'other',
      addresses: [{ network: '', address: '10.0.0.0/8' }],
      loadBalancing: { routingPreference: [], mode: 'PASSTHROUGH', healthPolicy: 'ALLOW_ALL' },
    });
    const view = new FakeView({ workloads: [client, reviewsPod], services: [range] });
    assert.equal(decide(view, { ip: '10.0.0.2', port: 8080 })['kind'], 'hbone');
    assert.equal(decide(view, { ip: '10.9.9.9', port: 8080 })['kind'], 'passthrough');
  });

  it('tunnels to a workload that tunnels and is known by name only', () => {
    const vm = fakeWorkload('vm', {
      hostname: 'vm.example.com',
      services: { [REVIEWS]: [{ servicePort: 80, targetPort: 8080 }] },
    });
    const view = new FakeView({ workloads: [client, vm], services: [reviews] });
    const decision = decide(view, { ip: '10.96.0.2', port: 80 });
    assert.equal(decision['kind'], 'hbone');
    assert.deepEqual(decision['dial'], { kind: 'dns', host: 'vm.example.com', port: 15008 });
    const plainVm = { ...vm, tunnelProtocol: 'NONE' } as const;
    const outside = new FakeView({ workloads: [client, plainVm], services: [reviews] });
    assert.equal(decide(outside, { ip: '10.96.0.2', port: 80 })['kind'], 'plain');
  });

  it('refuses a workload on another network, never sends it in clear', () => {
    const view = new FakeView({
      workloads: [
        { ...client, network: 'a' },
        {
          ...reviewsPod,
          network: 'b',
        },
      ],
      services: [{ ...reviews, addresses: [{ network: 'a', address: '10.96.0.2' }] }],
    });
    const source = { ...client, network: 'a' };
    const decision = decide(view, { ip: '10.96.0.2', port: 80, source });
    assert.equal(decision['code'], 'ROUTING_NO_ENDPOINT');
  });
});

describe('resolveOutbound with waypoints', () => {
  const guardedPod = { ...reviewsPod, waypoint: WAYPOINT };
  const mesh = new FakeView({
    workloads: [client, guardedPod, waypointPod],
    services: [{ ...reviews, waypoint: WAYPOINT }, waypointService],
  });

  it('keeps the original destination as authority for a service', () => {
    const decision = decide(mesh, { ip: '10.96.0.2', port: 80 });
    assert.equal(decision['kind'], 'waypoint');
    assert.deepEqual(decision['dial'], { kind: 'ip', host: '10.0.0.9', port: 15008 });
    assert.equal(decision['authority'], '10.96.0.2:80');
    assert.deepEqual(decision['expectedIdentities'], [
      'spiffe://cluster.local/ns/shop/sa/waypoint',
    ]);
  });

  it('keeps a port that the service does not have: the waypoint answers for it', () => {
    assert.equal(decide(mesh, { ip: '10.96.0.2', port: 81 })['authority'], '10.96.0.2:81');
  });

  it('sends a pod address to the workload waypoint', () => {
    const decision = decide(mesh, { ip: '10.0.0.2', port: 8080 });
    assert.equal(decision['kind'], 'waypoint');
    assert.equal(decision['authority'], '10.0.0.2:8080');
  });

  it('lets the waypoint itself through to the workload', () => {
    const decision = decide(mesh, { ip: '10.0.0.2', port: 8080, source: waypointPod });
    assert.equal(decision['kind'], 'hbone');
  });

  it('does not let another pod with the waypoint account go around', () => {
    const impostor = { ...waypointPod, addresses: ['10.0.0.66'] };
    const decision = decide(mesh, { ip: '10.0.0.2', port: 8080, source: impostor });
    assert.equal(decision['kind'], 'waypoint');
  });

  for (const [title, view, code] of [
    [
      'an unknown waypoint',
      new FakeView({ workloads: [guardedPod], services: [{ ...reviews, waypoint: WAYPOINT }] }),
      'ROUTING_WAYPOINT_UNKNOWN',
    ],
    [
      'a waypoint without ready instance',
      new FakeView({
        workloads: [guardedPod, { ...waypointPod, status: 'UNHEALTHY' }],
        services: [{ ...reviews, waypoint: WAYPOINT }, waypointService],
      }),
      'ROUTING_WAYPOINT_NOT_READY',
    ],
  ] as const) {
    it(`refuses on ${title}, by service and by pod address`, () => {
      for (const [ip, port] of [
        ['10.96.0.2', 80],
        ['10.0.0.2', 8080],
      ] as const) {
        const decision = decide(view, { ip, port });
        assert.equal(decision['kind'], 'refuse', ip);
        assert.equal(decision['code'], code, ip);
      }
    });
  }

  it('goes through the waypoint of a guarded endpoint when its service names none', () => {
    const view = new FakeView({
      workloads: [
        {
          ...guardedPod,
          guard: { waypointIdentities: [], ports: [8080], exclusive: true, because: [] },
        },
        waypointPod,
      ],
      services: [reviews, waypointService],
    });
    const decision = decide(view, { ip: '10.96.0.2', port: 80 });
    assert.equal(decision['kind'], 'waypoint');
    assert.equal(decision['authority'], '10.0.0.2:8080');
  });

  it('does not bypass a service waypoint when the address is a workload too', () => {
    const view = new FakeView({
      workloads: [{ ...reviewsPod, addresses: ['10.96.0.2'] }, waypointPod],
      services: [{ ...reviews, waypoint: WAYPOINT }, waypointService],
    });
    assert.equal(decide(view, { ip: '10.96.0.2', port: 80 })['kind'], 'waypoint');
  });

  // Whoever served there was taken for the waypoint, whatever its account.
  for (const [title, destination] of [
    ['service', WAYPOINT.destination],
    ['address', { kind: 'address', address: { network: '', address: '10.0.0.9' } }],
  ] as const) {
    it(`expects only the waypoint's own identity where it is known, by ${title}`, () => {
      const identity = 'spiffe://cluster.local/ns/shop/sa/waypoint';
      const gateway: ViewGatewayAddress = {
        destination,
        hboneMtlsPort: 15008,
        waypoint: { identity },
      };
      const behind = (instance: typeof waypointPod) =>
        new FakeView({
          workloads: [guardedPod, instance],
          services: [
            { ...reviews, waypoint: gateway },
            { ...waypointService, subjectAltNames: ['x'] },
          ],
        });
      const found = decide(behind(waypointPod), { ip: '10.96.0.2', port: 80 });
      assert.deepEqual(found['expectedIdentities'], [identity]);
      const thief = behind({ ...waypointPod, serviceAccount: 'thief' });
      const refused = decide(thief, { ip: '10.96.0.2', port: 80 });
      assert.equal(refused['code'], 'ROUTING_WAYPOINT_NOT_READY');
      assert.match(String(refused['text']), /no ready instance as spiffe:.*sa\/waypoint/);
    });
  }

  it('finds a waypoint by address', () => {
    const gateway: ViewGatewayAddress = {
      destination: { kind: 'address', address: { network: '', address: '10.96.0.9' } },
      hboneMtlsPort: 15008,
    };
    const view = new FakeView({
      workloads: [waypointPod],
      services: [{ ...reviews, waypoint: gateway }, waypointService],
    });
    assert.equal(decide(view, { ip: '10.96.0.2', port: 80 })['kind'], 'waypoint');
  });
});
