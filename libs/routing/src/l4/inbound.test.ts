import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FakeView, fakeService, fakeWorkload } from '../testing.ts';
import { resolveInbound, resolveInboundPlaintext } from './inbound.ts';

const REVIEWS = 'shop/reviews.shop.svc.cluster.local';
const CLIENT = 'spiffe://cluster.local/ns/shop/sa/client';
const WAYPOINT = 'spiffe://cluster.local/ns/shop/sa/waypoint';
const local = fakeWorkload('reviews-v1', {
  addresses: ['10.0.0.2', 'fd00::2'],
  services: { [REVIEWS]: [{ servicePort: 80, targetPort: 8080 }] },
});
const reviews = fakeService('reviews');
const view = new FakeView({ workloads: [local], services: [reviews, fakeService('other')] });
const guarded = {
  ...local,
  guard: {
    waypointIdentities: [WAYPOINT],
    ports: [8080],
    exclusive: true,
    because: ['AuthorizationPolicy/shop/reviews'],
  },
};

function decide(authority: string, peerIdentity = CLIENT, workload = local) {
  return resolveInbound({ local: workload, localIp: '10.0.0.2', authority, peerIdentity }, view);
}

describe('resolveInbound to a proxy that does not end tunnels', () => {
  const at = (applicationTunnel: { protocol: 'NONE' | 'PROXY'; port: number }) => ({
    ...local,
    applicationTunnel,
  });
  const withAddress = new FakeView({
    workloads: [local],
    services: [
      fakeService('reviews', {
        addresses: [
          { network: '', address: 'fd00::9' },
          { network: '', address: '10.9.0.9' },
          { network: 'far', address: '10.8.0.8' },
        ],
      }),
      fakeService('bare', { addresses: [] }),
    ],
  });
  const ask = (workload: typeof local, authority: string) =>
    resolveInbound(
      { local: workload, localIp: '10.0.0.2', authority, peerIdentity: CLIENT },
      withAddress,
    );
  for (const [authority, port, proxied] of [
    ['10.96.0.9:80', 15088, { ip: '10.96.0.9', port: 80 }],
    ['[fd00::77]:443', 15088, { ip: 'fd00::77', port: 443 }],
    ['reviews.shop.svc.cluster.local:80', 15088, { ip: '10.9.0.9', port: 80 }],
  ] as const) {
    it(`tells it of ${authority}`, () => {
      const decision = ask(at({ protocol: 'PROXY', port: 15088 }), authority);
      assert.ok(decision.kind === 'forward');
      assert.deepEqual([decision.ip, decision.port], ['10.0.0.2', port]);
      assert.deepEqual(decision.proxied, proxied);
    });
  }

  it('keeps the port that was wanted where it names none, and says nothing without PROXY', () => {
    const decision = ask(at({ protocol: 'NONE', port: 0 }), '10.96.0.9:81');
    assert.ok(decision.kind === 'forward');
    assert.deepEqual([decision.ip, decision.port], ['10.0.0.2', 81]);
    assert.equal(decision.proxied, undefined);
  });

  for (const [authority, port, code] of [
    ['10.96.0.9:15008', 15088, 'ROUTING_ILLEGAL_PORT'],
    ['10.96.0.9:80', 15008, 'ROUTING_ILLEGAL_PORT'],
    ['nobody.shop.svc.cluster.local:80', 15088, 'ROUTING_SERVICE_UNKNOWN'],
    ['bare.shop.svc.cluster.local:80', 15088, 'ROUTING_SERVICE_UNKNOWN'],
  ] as const) {
    it(`refuses ${authority} to port ${port}: ${code}`, () => {
      const decision = ask(at({ protocol: 'PROXY', port }), authority);
      assert.ok(decision.kind === 'refuse');
      assert.equal(decision.code, code);
    });
  }
});

describe('resolveInbound', () => {
  for (const [authority, ip, port] of [
    ['10.0.0.2:8080', '10.0.0.2', 8080],
    ['[fd00:0:0::2]:9000', 'fd00::2', 9000],
    ['[::ffff:10.0.0.2]:8080', '10.0.0.2', 8080],
    ['reviews.shop.svc.cluster.local:80', '10.0.0.2', 8080],
    ['Reviews.Shop.svc.cluster.local.:80', '10.0.0.2', 8080],
  ] as const) {
    it(`forwards ${authority} to ${ip} port ${port}`, () => {
      const decision = decide(authority);
      assert.equal(decision.kind, 'forward');
      if (decision.kind !== 'forward') return;
      assert.deepEqual([decision.ip, decision.port], [ip, port]);
      assert.equal(decision.isPolicyDecided, false);
    });
  }

  for (const [authority, status, code] of [
    ['', 400, 'ROUTING_AUTHORITY_INVALID'],
    ['10.0.0.2', 400, 'ROUTING_AUTHORITY_INVALID'],
    ['10.0.0.2:0', 400, 'ROUTING_AUTHORITY_INVALID'],
    ['10.0.0.2:65536', 400, 'ROUTING_AUTHORITY_INVALID'],
    ['10.0.0.2:80:80', 400, 'ROUTING_AUTHORITY_INVALID'],
    ['fd00::2:80', 400, 'ROUTING_AUTHORITY_INVALID'],
    ['user@10.0.0.2:80', 400, 'ROUTING_AUTHORITY_INVALID'],
    ['10.0.0.3:8080', 400, 'ROUTING_AUTHORITY_FOREIGN'],
    ['127.0.0.1:8080', 400, 'ROUTING_AUTHORITY_FOREIGN'],
    ['10.0.0.2:15008', 503, 'ROUTING_ILLEGAL_PORT'],
    ['10.0.0.2:15001', 503, 'ROUTING_ILLEGAL_PORT'],
    ['nobody.shop.svc.cluster.local:80', 503, 'ROUTING_SERVICE_UNKNOWN'],
    ['other.shop.svc.cluster.local:80', 503, 'ROUTING_SERVICE_UNKNOWN'],
    ['reviews.shop.svc.cluster.local:81', 503, 'ROUTING_PORT_UNKNOWN'],
  ] as const) {
    it(`refuses "${authority}" with ${status} ${code}`, () => {
      const decision = decide(authority);
      assert.equal(decision.kind, 'refuse');
      if (decision.kind !== 'refuse') return;
      assert.deepEqual([decision.status, decision.code], [status, code]);
    });
  }

  it('admits only the bound waypoint to a guarded port, and names who guards it', () => {
    const admitted = decide('10.0.0.2:8080', WAYPOINT, guarded);
    assert.equal(admitted.kind, 'forward');
    assert.equal(admitted.kind === 'forward' && admitted.isPolicyDecided, true);
    const refused = decide('10.0.0.2:8080', CLIENT, guarded);
    assert.equal(refused.kind, 'refuse');
    if (refused.kind !== 'refuse') return;
    assert.equal(refused.status, 401);
    assert.deepEqual(refused.because, ['AuthorizationPolicy/shop/reviews']);
    assert.match(refused.text, /AuthorizationPolicy\/shop\/reviews/);
  });

  it('guards by the target port when the authority names a service', () => {
    const authority = 'reviews.shop.svc.cluster.local:80';
    assert.equal(decide(authority, CLIENT, guarded).kind, 'refuse');
    assert.equal(decide(authority, WAYPOINT, guarded).kind, 'forward');
  });

  it('says what nobody knows of a proxy that its Gateway or class guards', () => {
    const because = ['GatewayClass/other'];
    const closed = { waypointIdentities: [], ports: [], exclusive: true, because };
    const refused = decide('10.0.0.2:15088', CLIENT, { ...local, guard: closed });
    assert.ok(refused.kind === 'refuse');
    assert.deepEqual([refused.status, refused.code], [401, 'ROUTING_GUARDED']);
    assert.match(refused.text, /because of GatewayClass\/other: .*how this proxy takes/);
    const query = { local: { ...local, guard: closed }, destinationIp: '10.0.0.2', port: 15_088 };
    assert.equal(resolveInboundPlaintext(query).kind, 'refuse');
  });

  it('refuses everybody while the guard has no waypoint', () => {
    const nobody = { ...guarded, guard: { ...guarded.guard, waypointIdentities: [], ports: [] } };
    for (const identity of [CLIENT, WAYPOINT]) {
      assert.equal(decide('10.0.0.2:9999', identity, nobody).kind, 'refuse', identity);
    }
  });

  it('admits others by policy where the guard is not exclusive, and skips it for the waypoint', () => {
    const routed = { ...guarded, guard: { ...guarded.guard, exclusive: false } };
    const client = decide('10.0.0.2:8080', CLIENT, routed);
    assert.equal(client.kind === 'forward' && client.isPolicyDecided, false);
    const waypoint = decide('10.0.0.2:8080', WAYPOINT, routed);
    assert.equal(waypoint.kind === 'forward' && waypoint.isPolicyDecided, true);
  });

  it('evaluates policy on a port that is not guarded, also for the waypoint', () => {
    const decision = decide('10.0.0.2:9000', WAYPOINT, guarded);
    assert.equal(decision.kind === 'forward' && decision.isPolicyDecided, false);
    assert.equal(decision.kind === 'forward' && decision.isFromWaypoint, true);
  });
});

describe('whose word on the caller is believed', () => {
  const of = (namespace: string) =>
    fakeService('db', {
      namespace,
      hostname: `db.${namespace}.svc.cluster.local`,
      waypoint: {
        destination: { kind: 'hostname', hostname: { namespace, hostname: 'w' } },
        hboneMtlsPort: 15008,
        waypoint: { identity: `spiffe://cluster.local/ns/${namespace}/sa/w` },
      },
    });
  const ports = [{ servicePort: 80, targetPort: 8080 }];
  const member = {
    ...local,
    services: {
      'shop/db.shop.svc.cluster.local': ports,
      'other/db.other.svc.cluster.local': ports,
    },
  };
  const both = new FakeView({ workloads: [member], services: [of('shop'), of('other')] });
  for (const [namespace, isBelieved] of [
    ['shop', true],
    ['other', false],
  ] as const) {
    it(`is ${isBelieved ? '' : 'not '}that of the waypoint of a service of namespace ${namespace}`, () => {
      const peerIdentity = `spiffe://cluster.local/ns/${namespace}/sa/w`;
      const query = {
        local: member,
        localIp: '10.0.0.2',
        authority: '10.0.0.2:8080',
        peerIdentity,
      };
      const decision = resolveInbound(query, both);
      assert.ok(decision.kind === 'forward');
      assert.equal(decision.isFromWaypoint, isBelieved);
    });
  }
});

describe('resolveInboundPlaintext', () => {
  for (const [port, workload, kind] of [
    [8080, local, 'forward'],
    [8080, guarded, 'refuse'],
    [9000, guarded, 'forward'],
    [15008, local, 'refuse'],
    [15006, local, 'refuse'],
    [15088, local, 'forward'],
  ] as const) {
    it(`${kind}s port ${port}${workload === guarded ? ' of a guarded workload' : ''}`, () => {
      const decision = resolveInboundPlaintext({
        local: workload,
        destinationIp: '10.0.0.2',
        port,
      });
      assert.equal(decision.kind, kind);
    });
  }

  for (const [protocol, own, port, code] of [
    ['PROXY', 15088, 15088, 'ROUTING_PROXY_PORT'],
    ['PROXY', 15088, 8080, undefined],
    ['PROXY', 0, 8080, 'ROUTING_PROXY_PORT'],
    ['NONE', 15088, 15088, undefined],
    ['NONE', 0, 8080, undefined],
  ] as const) {
    it(`${code ?? 'forwards'}: port ${port} of a proxy with ${protocol}/${own}`, () => {
      const workload = { ...local, applicationTunnel: { protocol, port: own } };
      const query = { local: workload, destinationIp: '10.0.0.2', port };
      const decision = resolveInboundPlaintext(query);
      assert.equal(decision.kind === 'refuse' ? decision.code : undefined, code);
      if (decision.kind === 'refuse') assert.equal(decision.status, 401);
    });
  }
});
