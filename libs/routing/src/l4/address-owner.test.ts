/** Addresses that a workload and a service both have: what entries of another namespace cannot take, and what they can. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { ViewGatewayAddress } from '../mesh-view.ts';
import { FakeView, fakeService, fakeWorkload, seededRandom } from '../testing.ts';
import { resolveOutbound } from './outbound.ts';

const POD = '10.0.0.2';
const VIP = '10.96.0.2';
const NOBODYS = '198.51.100.7';
const REVIEWS = 'shop/reviews.shop.svc.cluster.local';
const client = fakeWorkload('client', { addresses: ['10.0.0.1'] });
const pod = fakeWorkload('reviews-v1', {
  addresses: [POD],
  services: { [REVIEWS]: [{ servicePort: 80, targetPort: 8080 }] },
});
const reviews = fakeService('reviews', { addresses: [{ network: '', address: VIP }] });

function at(address: string): ViewGatewayAddress {
  return {
    destination: { kind: 'address', address: { network: '', address } },
    hboneMtlsPort: 15008,
  };
}

/** Where the bytes go first. */
function firstHop(view: FakeView, ip: string, namespace = 'shop'): string {
  const source = { ...client, namespace };
  const decision = resolveOutbound({ source, destinationIp: ip, port: 80 }, view, seededRandom(1));
  return decision.kind === 'refuse' ? decision.code : `${decision.kind} ${decision.dial.host}`;
}

describe('a WorkloadEntry with a waypoint of its own, at the address of a service', () => {
  const WAYPOINT = '10.0.6.6';
  const instance = fakeWorkload('wp', {
    uid: 'Kubernetes//Pod/evil/wp',
    namespace: 'evil',
    addresses: [WAYPOINT],
  });
  const ownInstance = fakeWorkload('waypoint', { addresses: ['10.0.0.9'] });
  const entry = fakeWorkload('steal', {
    uid: 'Kubernetes/networking.istio.io/WorkloadEntry/evil/steal',
    namespace: 'evil',
    addresses: [VIP, NOBODYS],
    tunnelProtocol: 'NONE',
    waypoint: at(WAYPOINT),
  });
  const range = { ...reviews, addresses: [{ network: '', address: '198.51.100.0/24' }] };
  const passthrough = {
    ...reviews,
    loadBalancing: { routingPreference: [], mode: 'PASSTHROUGH', healthPolicy: 'ALLOW_ALL' },
  } as const;
  const taken = `waypoint ${WAYPOINT}`;
  const rows = [
    ['of another namespace', reviews, entry, VIP, 'shop', `hbone ${POD}`],
    ['of another namespace, from a third', reviews, entry, VIP, 'third', `hbone ${POD}`],
    [
      'with a waypoint too',
      { ...reviews, waypoint: at('10.0.0.9') },
      entry,
      VIP,
      'shop',
      'waypoint 10.0.0.9',
    ],
    ['that passes through', passthrough, entry, VIP, 'shop', `plain ${VIP}`],
    ['of its own namespace', reviews, { ...entry, namespace: 'shop' }, VIP, 'third', taken],
    ['for callers of its own namespace', reviews, entry, VIP, 'evil', taken],
    ['that is a range, from a third namespace', range, entry, NOBODYS, 'third', taken],
    [
      'that is a range, for callers of the range’s namespace',
      range,
      entry,
      NOBODYS,
      'shop',
      `hbone ${POD}`,
    ],
    ['that is on another network', onNetwork('far'), entry, VIP, 'shop', taken],
    ['that does not have it', reviews, entry, NOBODYS, 'shop', taken],
    ['while it is a pod', reviews, { ...entry, uid: 'Kubernetes//Pod/evil/x' }, VIP, 'evil', taken],
  ] as const;
  for (const [title, service, workload, ip, namespace, expected] of rows) {
    it(`${expected === taken ? 'is heard' : 'takes no callers'}: ${title}`, () => {
      const workloads = [client, workload, pod, instance, ownInstance];
      const view = new FakeView({ workloads, services: [service] });
      assert.equal(firstHop(view, ip, namespace), expected);
    });
  }

  function onNetwork(network: string) {
    return { ...reviews, addresses: [{ network, address: VIP }] };
  }
});

describe('a ServiceEntry at the address of a pod', () => {
  const THEIRS = '10.0.6.7';
  const endpoint = fakeWorkload('evil-0', {
    uid: 'Kubernetes//Pod/evil/evil-0',
    namespace: 'evil',
    addresses: [THEIRS],
    services: {
      'evil/x.example': [{ servicePort: 80, targetPort: 80 }],
      'shop/x.example': [{ servicePort: 80, targetPort: 80 }],
    },
  });
  const entry = (address: string, parts: object = {}) =>
    fakeService('steal', {
      namespace: 'evil',
      hostname: 'x.example',
      addresses: [{ network: '', address }],
      ...parts,
    });
  const vm = fakeWorkload('vm', {
    uid: 'Kubernetes/networking.istio.io/WorkloadEntry/shop/vm',
    addresses: [NOBODYS],
  });
  const taken = `hbone ${THEIRS}`;
  const rows = [
    ['of another namespace', entry(POD), POD, 'shop', `hbone ${POD}`],
    ['of another namespace, by a range', entry('10.0.0.0/8'), POD, 'shop', `hbone ${POD}`],
    ['of another namespace, from a third', entry(POD), POD, 'third', `hbone ${POD}`],
    [
      'of another namespace, with a waypoint',
      entry(POD, { waypoint: at(THEIRS) }),
      POD,
      'shop',
      `hbone ${POD}`,
    ],
    ['of its own namespace', entry(POD, { namespace: 'shop' }), POD, 'third', taken],
    ['for callers of its own namespace', entry(POD), POD, 'evil', taken],
    ['that nobody has', entry(NOBODYS), NOBODYS, 'shop', taken],
    ['that nobody has, by a range', entry('198.51.100.0/24'), NOBODYS, 'shop', taken],
  ] as const;
  for (const [title, service, ip, namespace, expected] of rows) {
    it(`${expected === taken ? 'counts' : 'takes no callers'}: ${title}`, () => {
      const view = new FakeView({ workloads: [client, pod, endpoint], services: [service] });
      assert.equal(firstHop(view, ip, namespace), expected);
    });
  }

  it('goes before a WorkloadEntry, which says of its address no more than it does', () => {
    const view = new FakeView({ workloads: [client, vm, endpoint], services: [entry(NOBODYS)] });
    assert.equal(firstHop(view, NOBODYS), taken);
  });
});
