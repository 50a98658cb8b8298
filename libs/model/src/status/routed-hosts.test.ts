/** Which services a host of a routing object means: those that a waypoint routes by it, and no others. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { MeshObject } from '@ambit/api';

import { AMBIENT, reasons } from '../mesh.testing.ts';
import { modelOf, networking, parsed } from '../objects.testing.ts';

const entry = (name: string, host: string): MeshObject =>
  networking('ServiceEntry', name, {
    hosts: [host],
    addresses: [`240.0.0.${name.length}`],
    resolution: 'NONE',
    ports: [{ number: 80, name: 'http', protocol: 'HTTP' }],
  });
const WILD = entry('wild', '*.example.com');
const API = entry('api', 'api.example.com');
const to = (host: string) => [{ route: [{ destination: { host } }] }];
const hosts = (...names: readonly string[]): MeshObject =>
  networking('VirtualService', 'v', { hosts: names, http: to('api.example.com') });
const rule = (host: string): MeshObject =>
  networking('DestinationRule', 'r', {
    host,
    trafficPolicy: { connectionPool: { tcp: { maxConnections: 1 } } },
  });

/** `Attached`, the hosts that it names, the paths of hosts that nobody serves; and whether a waypoint has the object. */
function saidOf(key: string, objects: readonly MeshObject[]) {
  const { outputs } = modelOf(AMBIENT, ...objects);
  const { conditions = [], findings = [] } = outputs.statuses.get(key) ?? {};
  const found = conditions.find(({ type }) => type === 'Attached');
  const named =
    found?.status === 'True' ? (found.message.match(/shop\/\S*example\.com/g) ?? []) : [];
  const missing = findings.filter(({ code }) => code === 'IST0101' || code === 'IST0174');
  const paths = missing.map(({ path }) => path).filter((path) => /^spec\.hosts?/.test(path));
  return {
    said: [found?.status, found?.reason, ...named, ...paths].join(' '),
    isHad: [...outputs.scopes.values()].some((scope) => scope.has(key)),
    message: found?.message ?? '',
  };
}

describe('a host of a routing object', () => {
  const V = 'VirtualService/shop/v';
  const R = 'DestinationRule/shop/r';
  const OF_API = 'shop/api.example.com';
  const OF_WILD = 'shop/*.example.com';
  // A waypoint goes by the service that is called, and never by the name in the request.
  for (const [title, key, object, world, expected] of [
    [
      'a VirtualService for api.example.com beside a wildcard',
      V,
      hosts('api.example.com'),
      [WILD],
      'False TargetNotFound spec.hosts[0]',
    ],
    [
      'a VirtualService for api.example.com beside nothing',
      V,
      hosts('api.example.com'),
      [],
      'False TargetNotFound spec.hosts[0]',
    ],
    [
      'a VirtualService for api.example.com beside a wildcard and its own entry',
      V,
      hosts('api.example.com'),
      [WILD, API],
      `True AtWaypoint ${OF_API}`,
    ],
    [
      'a VirtualService for *.example.com beside a wildcard',
      V,
      hosts('*.example.com'),
      [WILD],
      `True AtWaypoint ${OF_WILD}`,
    ],
    [
      'a VirtualService for *.com beside a wildcard',
      V,
      hosts('*.com'),
      [WILD],
      `True AtWaypoint ${OF_WILD}`,
    ],
    [
      'a VirtualService for *.example.com beside a wildcard and its own entry',
      V,
      hosts('*.example.com'),
      [WILD, API],
      `True AtWaypoint ${OF_WILD} ${OF_API}`,
    ],
    [
      'a VirtualService for *.api.example.com beside a wildcard and its own entry',
      V,
      hosts('*.api.example.com'),
      [WILD, API],
      'False TargetNotFound spec.hosts[0]',
    ],
    [
      'a VirtualService for api.example.com and *.example.com beside a wildcard',
      V,
      hosts('api.example.com', '*.example.com'),
      [WILD],
      `True AtWaypoint ${OF_WILD} spec.hosts[0]`,
    ],
    [
      'a DestinationRule for api.example.com beside a wildcard',
      R,
      rule('api.example.com'),
      [WILD],
      'False TargetNotFound spec.host',
    ],
    [
      'a DestinationRule for api.example.com beside a wildcard and its own entry',
      R,
      rule('api.example.com'),
      [WILD, API],
      `True AtWaypoint ${OF_API}`,
    ],
    [
      'a DestinationRule for *.example.com beside a wildcard',
      R,
      rule('*.example.com'),
      [WILD],
      `True AtWaypoint ${OF_WILD}`,
    ],
    [
      'a DestinationRule for *.example.com beside a wildcard and its own entry',
      R,
      rule('*.example.com'),
      [WILD, API],
      `True AtWaypoint ${OF_WILD} ${OF_API}`,
    ],
    [
      'a DestinationRule for *.api.example.com beside a wildcard',
      R,
      rule('*.api.example.com'),
      [WILD],
      'False TargetNotFound spec.host',
    ],
  ] as const) {
    it(`says ${expected} of ${title}`, () => {
      const { said, isHad } = saidOf(key, [...world, object]);
      assert.equal(said, expected);
      assert.equal(isHad, expected.startsWith('True'));
    });
  }

  it('names the wildcard that covers it, by which its requests are routed', () => {
    const { message } = saidOf(V, [WILD, hosts('api.example.com')]);
    assert.match(message, /ServiceEntry\/shop\/wild.*\*\.example\.com/);
  });
});

describe('a destination that only a wildcard covers', () => {
  const destinations = (objects: readonly MeshObject[]): readonly string[] => {
    const { findings = [] } =
      modelOf(AMBIENT, ...objects).outputs.statuses.get('VirtualService/shop/v') ?? {};
    return findings.map(({ code, path }) => `${code} ${path}`);
  };

  it('is said to be served by nobody, as it is', () => {
    const found = ['IST0101 spec.http[0].route[0].destination.host'];
    assert.deepEqual(destinations([WILD, hosts('*.example.com')]), found);
    assert.deepEqual(destinations([WILD, API, hosts('*.example.com')]), []);
  });

  it('is no backend of a route either', () => {
    const route = parsed({
      apiVersion: 'gateway.networking.k8s.io/v1',
      kind: 'HTTPRoute',
      metadata: { name: 'r', namespace: 'shop' },
      spec: {
        parentRefs: [{ group: 'networking.istio.io', kind: 'ServiceEntry', name: 'wild' }],
        rules: [
          {
            backendRefs: [
              { group: 'networking.istio.io', kind: 'Hostname', name: 'api.example.com', port: 80 },
            ],
          },
        ],
      },
    });
    const key = 'HTTPRoute/shop/r';
    const refs = (...objects: readonly MeshObject[]) =>
      reasons(modelOf(AMBIENT, WILD, route, ...objects), key).filter((one) =>
        one.startsWith('Res'),
      );
    assert.deepEqual(refs(), ['ResolvedRefs=False RefNotFound']);
    assert.deepEqual(refs(API), ['ResolvedRefs=True ResolvedRefs']);
  });
});
