import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { ViewGatewayAddress, ViewService, ViewWorkload } from '../mesh-view.ts';
import { FakeView, fakeService, fakeWorkload, seededRandom } from '../testing.ts';
import { selectL4Endpoint } from './endpoint.ts';
import { resolveOutbound } from './outbound.ts';
import { resolveWaypoint } from './waypoint.ts';

const REVIEWS = 'shop/reviews.shop.svc.cluster.local';
const WAYPOINTS = 'shop/waypoint.shop.svc.cluster.local';
const DRAWS = 200;

const client = fakeWorkload('client', { addresses: ['10.0.0.1'], node: 'n1' });

function endpointOf(service: string, name: string, node: string): ViewWorkload {
  const port = service === WAYPOINTS ? 15_008 : 80;
  return fakeWorkload(name, {
    addresses: [`10.0.0.${name.charCodeAt(name.length - 1)}`],
    node,
    services: { [service]: [{ servicePort: port, targetPort: port }] },
  });
}

const named =
  (...names: readonly string[]) =>
  ({ name }: ViewWorkload): boolean =>
    names.includes(name);

describe('an endpoint that is shunned', () => {
  const a = endpointOf(REVIEWS, 'a', 'n1');
  const b = endpointOf(REVIEWS, 'b', 'n2');
  const c = endpointOf(REVIEWS, 'c', 'n2');

  function chosen(service: ViewService, isShunned?: (workload: ViewWorkload) => boolean): string {
    const view = new FakeView({ workloads: [client, a, b, c], services: [service] });
    const random = seededRandom(1);
    const names = new Set<string>();
    for (let i = 0; i < DRAWS; i += 1) {
      const choice = selectL4Endpoint(
        service,
        { client, servicePort: 80, isShunned },
        view,
        random,
      );
      names.add(choice.kind === 'chosen' ? choice.endpoint.workload.name : choice.why);
    }
    return [...names].sort().join(' ');
  }

  const anywhere = fakeService('reviews');
  const near = (mode: 'STRICT' | 'FAILOVER') =>
    fakeService('reviews', {
      loadBalancing: { mode, routingPreference: ['NODE'], healthPolicy: 'ONLY_HEALTHY' },
    });
  for (const [what, service, shunned, wanted] of [
    ['nobody', anywhere, [], 'a b c'],
    ['one of three', anywhere, ['a'], 'b c'],
    ['two of three', anywhere, ['a', 'c'], 'b'],
    ['all, who are then as good as before', anywhere, ['a', 'b', 'c'], 'a b c'],
    ['the near one, where others may serve', near('FAILOVER'), ['a'], 'b c'],
    ['a far one', near('FAILOVER'), ['b'], 'a'],
    ['the only one that may serve', near('STRICT'), ['a'], 'a'],
  ] as const) {
    it(`comes last: ${what}`, () => {
      assert.equal(chosen(service, named(...shunned)), wanted);
    });
  }

  it('is no instance of a waypoint while there is another, by any way to it', () => {
    const gateway: ViewGatewayAddress = {
      destination: {
        kind: 'hostname',
        hostname: { namespace: 'shop', hostname: 'waypoint.shop.svc.cluster.local' },
      },
      hboneMtlsPort: 15_008,
    };
    const ways = ['w1', 'w2'].map((name) => endpointOf(WAYPOINTS, name, 'n1'));
    const target = { ...a, waypoint: gateway };
    const reviews = fakeService('reviews', {
      addresses: [{ network: '', address: '10.96.0.2' }],
      waypoint: gateway,
    });
    const waypoint = fakeService('waypoint', {
      ports: [{ servicePort: 15_008, targetPort: 15_008 }],
    });
    const view = new FakeView({
      workloads: [client, target, ...ways],
      services: [reviews, waypoint],
    });
    const random = seededRandom(1);
    for (let i = 0; i < DRAWS; i += 1) {
      const isShunned = named('w1');
      const found = resolveWaypoint({ gateway, client, isShunned }, view, random);
      assert.equal(found.kind === 'found' ? found.workload.name : found.text, 'w2');
      for (const destinationIp of ['10.96.0.2', target.addresses[0] ?? '']) {
        const query = { source: client, destinationIp, port: 80, isShunned };
        const decision = resolveOutbound(query, view, random);
        assert.equal(decision.kind === 'waypoint' ? decision.waypoint.name : decision.kind, 'w2');
      }
    }
  });
});
