/**
 * Whatever an API server stores and `parseObject` accepts, the model takes: an object that it threw on would be refused in
 * its stead by whoever feeds it, but it would be refused.
 *
 * Objects of every kind, with parts taken out, exchanged, repeated and replaced by odd values, of which those count that are valid.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { type MeshObject, type ObjectKey, parseObject, serializeObject } from '@ambit/api';
import fc from 'fast-check';

import { MeshModel } from './mesh-model.ts';
import { keyOf } from './objects/keys.ts';
import {
  gateway,
  httpRoute,
  namespace,
  networking,
  OPTIONS,
  parsed,
  pod,
  policy,
  service,
  slice,
  waypointPod,
} from './objects.testing.ts';

type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

const TARGET = { group: '', kind: 'Service', name: 'a' };
const written = (apiVersion: string, kind: string, spec: Json): MeshObject =>
  parsed({ apiVersion, kind, metadata: { name: 'a', namespace: 'shop' }, spec });
const SEEDS: readonly MeshObject[] = [
  namespace('shop', { 'istio.io/dataplane-mode': 'ambient', 'istio.io/use-waypoint': 'waypoint' }),
  pod('a', '10.0.0.1', { ports: { web: 8080 } }),
  waypointPod(),
  service('a', '10.9.0.1', { ports: [{ name: 'web', port: 80, targetPort: 'web' }] }),
  slice('a-1', [{ addresses: ['10.0.0.1'] }, { addresses: ['192.0.2.7'] }], { service: 'a' }),
  gateway('waypoint', { labels: { 'istio.io/waypoint-for': 'all' } }),
  policy('a', {
    selector: { matchLabels: { app: 'a' } },
    rules: [
      {
        from: [
          { source: { principals: ['*/sa/a'], ipBlocks: ['10.0.0.0/8'], namespaces: ['b*'] } },
        ],
        to: [{ operation: { methods: ['GET'], paths: ['/a/*'], ports: ['80'], hosts: ['*.b'] } }],
        when: [{ key: 'request.headers[x]', values: ['1'] }],
      },
    ],
  }),
  policy('b', { action: 'DENY', targetRefs: [TARGET], rules: [{}] }),
  httpRoute('a', 'a', 'b'),
  networking('VirtualService', 'a', {
    hosts: ['a', '*.example.com'],
    http: [
      {
        match: [{ uri: { regex: '/a.*' }, headers: { x: { exact: '1' } }, port: 80 }],
        route: [{ destination: { host: 'b', subset: 'v2', port: { number: 80 } }, weight: 30 }],
        retries: { attempts: 2, perTryTimeout: '1s' },
        fault: { delay: { fixedDelay: '1s', percentage: { value: 1 } } },
      },
    ],
    tcp: [{ route: [{ destination: { host: 'b' } }] }],
  }),
  networking('DestinationRule', 'a', {
    host: '*.local',
    subsets: [{ name: 'v2', labels: { version: 'v2' } }],
    trafficPolicy: {
      loadBalancer: { simple: 'RANDOM' },
      outlierDetection: { consecutive5xxErrors: 3 },
      portLevelSettings: [{ port: { number: 80 }, connectionPool: { tcp: { maxConnections: 1 } } }],
    },
  }),
  networking('ServiceEntry', 'a', {
    hosts: ['ext.example', '*.wild.example'],
    addresses: ['192.0.2.0/24', '192.0.2.1'],
    resolution: 'STATIC',
    ports: [{ number: 80, name: 'http', protocol: 'HTTP', targetPort: 8080 }],
    endpoints: [{ address: '192.0.2.9', ports: { http: 81 }, labels: { app: 'a' } }],
  }),
  networking('WorkloadEntry', 'a', { address: '192.0.2.1', labels: { app: 'a' } }),
  written('security.istio.io/v1', 'PeerAuthentication', {
    selector: { matchLabels: { app: 'a' } },
    mtls: { mode: 'STRICT' },
    portLevelMtls: { 8080: { mode: 'DISABLE' } },
  }),
  written('security.istio.io/v1', 'RequestAuthentication', {
    selector: { matchLabels: { app: 'a' } },
    jwtRules: [{ issuer: 'me', jwks: '{"keys":[]}' }],
  }),
  parsed({ apiVersion: 'v1', kind: 'Node', metadata: { name: 'node1' } }),
];

const TEXTS = [
  ...[
    '',
    '*',
    '*.',
    '.',
    '/',
    '//',
    '-',
    'a',
    'a.shop',
    'a.shop.svc.cluster.local',
    'shop/a',
    '*/*',
  ],
  ...[
    '__proto__',
    'constructor',
    '0.0.0.0',
    '::',
    '::1',
    '::ffff:10.0.0.1',
    '10.0.0.1',
    '10.0.0.1/33',
  ],
  ...[
    '255.255.255.255/32',
    '::/0',
    'unix:///x',
    '80',
    'ALLOW',
    'DENY',
    'AUDIT',
    'STATIC',
    'DNS',
    'NONE',
  ],
  ...[
    'ambient',
    'none',
    'true',
    '\u0000',
    '\ud800',
    '🦀',
    'x'.repeat(300),
    '{',
    '(',
    '1s',
    '-1s',
    '9'.repeat(40),
  ],
];
const NUMBERS = [
  0,
  -1,
  1,
  80,
  15008,
  65535,
  65536,
  0.5,
  1e9,
  2 ** 31,
  2 ** 32,
  2 ** 53,
  1e21,
  -1e21,
];
const odd: fc.Arbitrary<Json> = fc.oneof(
  fc.constantFrom<Json>(...TEXTS),
  fc.constantFrom<Json>(...NUMBERS),
  fc.constantFrom<Json>(null, true, false, [], {}, [[]], [{}], [null]),
);

/** A change of the part that a number finds. */
type Change = readonly [number, 'set' | 'drop' | 'repeat' | 'swap', Json, number];
const changes = fc.array(
  fc.tuple(fc.nat(10_000), fc.constantFrom('set', 'drop', 'repeat', 'swap'), odd, fc.nat(10_000)),
  { minLength: 1, maxLength: 2 },
) as fc.Arbitrary<readonly Change[]>;
const steps = fc.array(fc.tuple(fc.nat(SEEDS.length - 1), changes), {
  minLength: 5,
  maxLength: 15,
});

type Place = readonly (string | number)[];

function placesIn(value: Json, path: Place = []): readonly Place[] {
  const own = path.length === 0 ? [] : [path];
  if (typeof value !== 'object' || value === null) return own;
  const entries = Array.isArray(value)
    ? value.map((item: Json, index): readonly [string | number, Json] => [index, item])
    : Object.entries(value as { readonly [key: string]: Json });
  return [...own, ...entries.flatMap(([name, item]) => placesIn(item, [...path, name]))];
}

function changed(json: Json, [at, how, value, other]: Change): Json {
  const copy = structuredClone(json) as Json;
  const places = placesIn(copy);
  const place = places[at % places.length] ?? [];
  const name = place.at(-1) ?? '';
  const parent = valueAt(copy, place.slice(0, -1)) as Record<string | number, Json>;
  if (how === 'drop') delete parent[name];
  else if (how === 'repeat' && Array.isArray(parent))
    parent.push(structuredClone(parent[Number(name)]));
  else if (how === 'swap')
    parent[name] = structuredClone(valueAt(copy, places[other % places.length] ?? []));
  else parent[name] = value;
  return Array.isArray(parent) ? withoutHoles(copy) : copy;
}

const valueAt = (json: Json, place: Place): Json =>
  place.reduce<Json>((value, name) => (value as Record<string | number, Json>)[name] ?? null, json);

const withoutHoles = (json: Json): Json => JSON.parse(JSON.stringify(json)) as Json;

describe('the model', () => {
  it('throws on no valid object, and forgets it without a trace', () => {
    let taken = 0;
    const run = (list: readonly (readonly [number, readonly Change[]])[]): void => {
      const model = new MeshModel(OPTIONS);
      const keys = new Set<ObjectKey>();
      for (const [seed, how] of list) {
        const before = serializeObject(SEEDS[seed] ?? assert.fail()) as Json;
        const { object } = parseObject(how.reduce(changed, before));
        if (object === undefined) continue;
        taken += how.length > 0 ? 1 : 0;
        model.apply({ upserts: [object] });
        keys.add(keyOf(object));
      }
      model.apply({ removes: [...keys] });
      for (const [name, output] of Object.entries(model.outputs))
        assert.equal(output.size, 0, name);
    };
    fc.assert(fc.property(steps, run), { numRuns: 300 });
    assert.ok(taken > 300, `${taken} of them were valid`);
  });
});
