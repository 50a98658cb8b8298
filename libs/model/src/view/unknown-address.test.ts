import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { serviceKey } from '@ambit/routing';

import { modelOf, namespace, networking, pod, policy, service } from '../objects.testing.ts';
import { MeshIndex } from './mesh-index.ts';
import { authorizeAtWaypoint } from './waypoint-authorization.ts';
import { WaypointView } from './waypoint-view.ts';

const ENTRY = networking('ServiceEntry', 'far', {
  hosts: ['far.example.com'],
  addresses: ['240.0.0.1'],
  resolution: 'DNS',
  ports: [{ number: 80, name: 'http', protocol: 'HTTP' }],
  endpoints: [{ address: 'real.example.com' }],
});
const WORLD = [
  namespace('shop', { 'istio.io/dataplane-mode': 'ambient' }),
  pod('v1', '10.0.0.1', { labels: { app: 'reviews' } }),
  service('reviews', '10.1.0.1', { selector: { app: 'reviews' } }),
  ENTRY,
];

describe('destination.ip of an endpoint that is known by its name alone', () => {
  const index = new MeshIndex({ network: '' });
  index.apply({ changed: modelOf(...WORLD).outputs.addresses.values(), removed: [] });

  for (const [action, field, far, near] of [
    ['DENY', 'values', false, true],
    ['DENY', 'notValues', false, false],
    ['ALLOW', 'values', false, false],
    ['ALLOW', 'notValues', false, true],
  ] as const) {
    it(`is refused by ${action} with ${field}, whatever it would be`, () => {
      const rules = [{ when: [{ key: 'destination.ip', [field]: ['169.254.0.0/16'] }] }];
      const view = new WaypointView(index, {
        namespace: 'shop',
        name: 'waypoint',
        className: 'istio-waypoint',
        trustDomain: 'cluster.local',
        rootNamespace: 'istio-system',
        clusterDomain: 'cluster.local',
      });
      view.apply({ changed: [policy('p', { action, rules })], removed: [] });
      for (const [hostname, expected] of [
        ['far.example.com', far],
        ['reviews.shop.svc.cluster.local', near],
      ] as const) {
        const destination = index.service('shop', hostname);
        assert.ok(destination);
        const [endpoint] = index.endpoints(serviceKey(destination));
        assert.ok(endpoint);
        const authorization = authorizeAtWaypoint({
          view,
          index,
          caller: { trustDomain: 't', namespace: 'shop', serviceAccount: 'client', ip: '10.0.0.9' },
          destination: { service: destination, port: 80 },
          request: { host: 'x', method: 'GET', path: '/', header: () => undefined },
        });
        const place = { workload: endpoint, targetPort: 80 };
        assert.equal(authorization.beforeRoute.verdict.allowed, expected, hostname);
        assert.equal(authorization.forEndpoint(place).verdict.allowed, expected, hostname);
      }
    });
  }
});
