/** Whom a waypoint lets in, for each place that it may send to. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { MeshObject } from '@ambit/api';

import { parsed, policy } from '../objects.testing.ts';
import { authorizeAtWaypoint } from './waypoint-authorization.ts';
import { reviews, viewOf, workload } from './waypoint-view.testing.ts';

describe('a policy for a class of waypoints', () => {
  const ofClass = (where: string) =>
    parsed({
      apiVersion: 'security.istio.io/v1',
      kind: 'AuthorizationPolicy',
      metadata: { name: 'of-class', namespace: where },
      spec: {
        targetRefs: [
          { group: 'gateway.networking.k8s.io', kind: 'GatewayClass', name: 'istio-waypoint' },
        ],
        rules: [{}],
      },
    });
  const verdictWith = (...objects: readonly MeshObject[]): boolean => {
    const onlyBob = policy('only-bob', {
      targetRefs: [{ group: '', kind: 'Service', name: 'reviews' }],
      rules: [{ from: [{ source: { namespaces: ['bob'] } }] }],
    });
    const { view, index } = viewOf(onlyBob, ...objects);
    const destination = { service: reviews(index), port: 80 };
    const caller = {
      trustDomain: 'cluster.local',
      namespace: 'shop',
      serviceAccount: 'c',
      ip: '10.0.0.9',
    };
    const request = { host: 'reviews', method: 'GET', path: '/', header: () => undefined };
    return authorizeAtWaypoint({ view, index, caller, destination, request } as never).beforeRoute
      .verdict.allowed;
  };

  for (const [where, allows] of [
    ['istio-system', true],
    ['other', false],
    ['shop', false],
  ] as const) {
    it(`${allows ? 'decides' : 'decides nothing'} from ${where}`, () => {
      assert.equal(verdictWith(), false);
      assert.equal(verdictWith(ofClass(where)), allows);
    });
  }
});

describe('authorizeAtWaypoint', () => {
  it('decides for each port of an endpoint where a rule names a host with a port', () => {
    for (const hosts of [['x:9090'], ['*:9090'], ['*90'], ['x:90*']]) {
      const rules = [{ to: [{ operation: { hosts } }] }];
      const { view, index } = viewOf(policy('no-x', { action: 'DENY', rules }));
      const authorization = authorizeAtWaypoint({
        view,
        index,
        caller: { trustDomain: 't', namespace: 'shop', serviceAccount: 'client', ip: '10.0.0.9' },
        destination: { service: reviews(index), port: 80 },
        request: { host: 'x', method: 'GET', path: '/', header: () => undefined },
      });
      const allowed = [8080, 9090].map((targetPort) => {
        const place = { workload: workload(index, 'v1'), targetPort };
        return authorization.forEndpoint(place).verdict.allowed;
      });
      assert.deepEqual(allowed, [true, false], String(hosts));
    }
  });

  it('takes nobody who writes another port for one of another port', () => {
    const deny = (hosts: readonly string[]) =>
      policy('p', { action: 'DENY', rules: [{ to: [{ operation: { hosts } }] }] });
    const allow = (hosts: readonly string[]) =>
      policy('p', { rules: [{ to: [{ operation: { hosts } }] }] });
    for (const [object, host, expected] of [
      [deny(['x:80']), 'x:81', false],
      [deny(['x:81']), 'x:80', true],
      [allow(['x:81']), 'x:81', false],
      [allow(['x:80']), 'x:80', true],
    ] as const) {
      const { view, index } = viewOf(object);
      const { beforeRoute } = authorizeAtWaypoint({
        view,
        index,
        caller: { trustDomain: 't', namespace: 'shop', serviceAccount: 'client', ip: '10.0.0.9' },
        destination: { service: reviews(index), port: 80 },
        request: { host, method: 'GET', path: '/', header: () => undefined },
      });
      assert.equal(beforeRoute.verdict.allowed, expected, host);
    }
  });
});
