/** Whether a DestinationRule is applied: its status says what a waypoint does that has what the controller would send to it. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { MeshObject } from '@ambit/api';

import { AMBIENT, REVIEWS, REVIEWS_SERVICE } from '../mesh.testing.ts';
import { gateway, modelOf, namespace, networking, service } from '../objects.testing.ts';
import { MeshIndex } from '../view/mesh-index.ts';
import { WaypointView } from '../view/waypoint-view.ts';

const HOST = 'reviews.shop.svc.cluster.local';
const POOL = { trafficPolicy: { connectionPool: { tcp: { maxConnections: 1 } } } };
const rule = (space: string, spec: object = {}, name = 'r'): MeshObject =>
  networking('DestinationRule', name, { host: HOST, ...POOL, ...spec }, space);
const to = (exportTo: readonly string[]) => ({ exportTo });

const WAYPOINTS = {
  /** Made on demand, by the rule alone. */
  shop: [AMBIENT],
  /** Shared. */
  infra: [
    namespace('shop', {
      'istio.io/dataplane-mode': 'ambient',
      'istio.io/use-waypoint': 'waypoint',
      'istio.io/use-waypoint-namespace': 'infra',
    }),
    gateway('waypoint', { namespace: 'infra', from: 'All' }),
  ],
} as const;

function worldOf(space: keyof typeof WAYPOINTS, objects: readonly MeshObject[]) {
  const { outputs } = modelOf(...WAYPOINTS[space], REVIEWS, REVIEWS_SERVICE, ...objects);
  const index = new MeshIndex({ network: '' });
  index.apply({ changed: outputs.addresses.values(), removed: [] });
  const view = new WaypointView(index, {
    ...{ namespace: space, name: 'waypoint', className: 'istio-waypoint' },
    ...{ trustDomain: 'cluster.local', rootNamespace: 'istio-system' },
    clusterDomain: 'cluster.local',
  });
  const scope = outputs.scopes.get(`${space}/waypoint`) ?? new Set();
  view.apply({ changed: [...scope].flatMap((key) => outputs.objects.get(key) ?? []), removed: [] });
  const at = (ref: object) => view.cluster({ host: HOST, port: 80, ...ref })?.cluster;
  const blocksOf = [{}, { subset: 'v1' }, { subset: 'v2' }].map((ref) => {
    const { objects: _, ...found } = at(ref) ?? { objects: [] };
    return found;
  });
  return { outputs, applied: at({})?.objects ?? [], blocksOf };
}

describe('a DestinationRule', () => {
  const at = 'shop';
  const shared = 'infra';
  // They had no finding, so that nobody saw which field to change.
  const PLACES: Readonly<Record<string, readonly (readonly [string, string])[]>> = {
    AtWaypoint: [],
    NamespaceForeign: [],
    NotExported: [['NOT_EXPORTED', 'spec.exportTo']],
    NoEffect: [['NO_EFFECT', 'spec.workloadSelector']],
    Conflicted: [['HOST_CONFLICT', 'spec.host']],
  };
  const SELECTED = { workloadSelector: { matchLabels: { app: 'x' } }, exportTo: ['.'] };
  for (const [title, waypoint, objects, expected] of [
    ['of the service, for its namespace', at, [rule('shop', to(['.']))], 'True AtWaypoint'],
    ['of the service, for all', at, [rule('shop', to(['*']))], 'True AtWaypoint'],
    ['of the service, for others alone', at, [rule('shop', to(['infra']))], 'False NotExported'],
    ['of another, for its namespace', at, [rule('infra', to(['.']))], 'False NamespaceForeign'],
    ['of the root, for its namespace', at, [rule('istio-system', to(['.']))], 'False NotExported'],
    ['of the root, for this one', at, [rule('istio-system', to(['shop']))], 'True AtWaypoint'],
    ['of the service', shared, [rule('shop')], 'True AtWaypoint'],
    // Each was said to be applied, and the waypoint passed over it.
    ['of the service, for its namespace', shared, [rule('shop', to(['.']))], 'False NotExported'],
    ['for selected clients', at, [rule('shop', SELECTED)], 'False NoEffect'],
    ['beside that of the waypoint', shared, [rule('shop'), rule('infra')], 'False Conflicted'],
    ['of the root beside one', at, [rule('istio-system'), rule('shop')], 'False Conflicted'],
    [
      'with a wildcard beside one without',
      at,
      [rule('shop', { host: '*.shop.svc.cluster.local' }), rule('shop', {}, 'exact')],
      'False Conflicted',
    ],
    ['of the service, for the waypoint', shared, [rule('shop', to(['infra']))], 'True AtWaypoint'],
    ['of the service, for both', shared, [rule('shop', to(['.', 'infra']))], 'True AtWaypoint'],
    // It was not sent to the waypoint of its own namespace, because the service is in another one.
    ['of the waypoint, for its namespace', shared, [rule('infra', to(['.']))], 'True AtWaypoint'],
    ['of the waypoint, for others', shared, [rule('infra', to(['shop']))], 'False NotExported'],
    [
      'of the waypoint, for its namespace, beside that of the service',
      shared,
      [rule('infra', to(['.'])), rule('shop')],
      'True AtWaypoint',
    ],
    ['older, of the same host', at, [rule('shop'), rule('shop', {}, 's')], 'True AtWaypoint'],
  ] as const) {
    it(`is said to be applied, or not: ${expected} at ${waypoint}, ${title}`, () => {
      const { outputs, applied } = worldOf(waypoint, objects);
      const [first] = objects;
      const { namespace: space, name } = first.metadata;
      const key = `DestinationRule/${space}/${name}`;
      const { conditions = [] } = outputs.statuses.get(key) ?? {};
      const found = conditions.find(({ type }) => type === 'Attached');
      assert.equal(`${found?.status} ${found?.reason}`, expected);
      assert.equal(applied.includes(key), found?.status === 'True', 'as the waypoint does');
      const { findings = [] } = outputs.statuses.get(key) ?? {};
      const said = findings.map(({ code, path, fix }) => [code, path, fix !== undefined]);
      assert.deepEqual(
        said,
        PLACES[found?.reason ?? '']?.map((place) => [...place, true]),
      );
    });
  }

  it('that is hidden from the waypoint defines no subset there', () => {
    const subsets = { subsets: [{ name: 'v1', labels: { app: 'reviews' } }] };
    const route = networking('VirtualService', 'v', {
      hosts: [HOST],
      http: [{ route: [{ destination: { host: HOST, subset: 'v1' } }] }],
    });
    const codes = (waypoint: keyof typeof WAYPOINTS, exportTo: readonly string[]) => {
      const objects = [route, rule('shop', { ...subsets, exportTo })];
      const { outputs } = worldOf(waypoint, objects);
      return outputs.statuses.get('VirtualService/shop/v')?.findings.map(({ code }) => code);
    };
    assert.deepEqual(codes('shop', ['.']), []);
    assert.deepEqual(codes('infra', ['.']), ['IST0101']);
    assert.deepEqual(codes('infra', ['*']), []);
  });
});

describe('DestinationRules of one host in one namespace', () => {
  const V1 = { name: 'v1', labels: { app: 'reviews' } };
  const V2 = { name: 'v2', labels: { app: 'reviews' } };
  const labels = { app: 'reviews', tier: 'front' };
  const pool = (maxConnections: number) => ({
    trafficPolicy: { connectionPool: { tcp: { maxConnections } } },
  });
  const BALANCED = { trafficPolicy: { loadBalancer: { simple: 'RANDOM' } } };
  const subset = (...subsets: readonly object[]) => ({ trafficPolicy: undefined, subsets });
  const young = (spec: object): MeshObject => rule('shop', spec, 'young');
  const old = (spec: object): MeshObject => rule('shop', spec, 'old');
  // The waypoint went by none of what has a path here, and all of it was said to be applied.
  for (const [title, first, second, expected, paths] of [
    ['both have a trafficPolicy', pool(7), BALANCED, 'False Conflicted', ['spec.trafficPolicy']],
    [
      'both define one subset',
      subset(V1),
      subset({ ...V1, labels }),
      'False Conflicted',
      ['spec.subsets[0]'],
    ],
    [
      'both have all',
      { ...pool(7), subsets: [V1] },
      { ...BALANCED, subsets: [{ ...V1, labels }] },
      'False Conflicted',
      ['spec.trafficPolicy', 'spec.subsets[0]'],
    ],
    [
      'the younger has a subset besides',
      { ...pool(7), subsets: [V1] },
      { ...BALANCED, subsets: [{ ...V1, labels }, V2] },
      'True AtWaypoint',
      ['spec.trafficPolicy', 'spec.subsets[0]'],
    ],
    ['the older has subsets alone', subset(V1), BALANCED, 'True AtWaypoint', []],
    ['the younger has subsets alone', pool(7), subset(V1), 'True AtWaypoint', []],
    ['each has its own', { ...pool(7), subsets: [V1] }, subset(V2), 'True AtWaypoint', []],
    ['the older has nothing', { trafficPolicy: undefined }, BALANCED, 'True AtWaypoint', []],
  ] as const) {
    it(`say what is not in force of the younger: ${title}`, () => {
      const { outputs, applied, blocksOf } = worldOf('shop', [old(first), young(second)]);
      const { conditions = [], findings = [] } =
        outputs.statuses.get('DestinationRule/shop/young') ?? {};
      const found = conditions.find(({ type }) => type === 'Attached');
      assert.equal(`${found?.status} ${found?.reason}`, expected);
      const lost = findings.filter(({ code }) => code === 'HOST_CONFLICT');
      assert.deepEqual(
        lost.map(({ path }) => path),
        paths,
      );
      assert.ok(lost.every(({ message }) => message.includes('DestinationRule/shop/old')));
      assert.ok(lost.every(({ fix }) => fix !== undefined));
      assert.equal(applied.includes('DestinationRule/shop/young'), found?.status === 'True');
      // Without what has no effect, the waypoint does the same.
      const kept = {
        ...second,
        ...(paths.includes('spec.trafficPolicy' as never) ? { trafficPolicy: undefined } : {}),
      };
      const rest = ('subsets' in kept ? kept.subsets : []).filter(
        (_, index) => !paths.includes(`spec.subsets[${index}]` as never),
      );
      assert.deepEqual(
        blocksOf,
        worldOf('shop', [old(first), young({ ...kept, subsets: rest })]).blocksOf,
      );
      const older = outputs.statuses.get('DestinationRule/shop/old');
      assert.deepEqual(
        older?.findings.filter(({ code }) => code === 'HOST_CONFLICT'),
        [],
      );
    });
  }
});

describe('a DestinationRule of many services, beside older ones of the same host', () => {
  const WILD = { host: '*.shop.svc.cluster.local' };
  const older = (exportTo: readonly string[], name = 'old'): MeshObject =>
    rule('shop', { ...WILD, exportTo }, name);
  const V1 = { name: 'v1', labels: { app: 'reviews' } };
  const young = rule('shop', { ...WILD, subsets: [V1] }, 'young');
  const AT_INFRA = {
    'istio.io/use-waypoint': 'waypoint',
    'istio.io/use-waypoint-namespace': 'infra',
  };
  const b = (labels: Readonly<Record<string, string>>): MeshObject =>
    service('b', '10.1.0.9', { labels });
  const many = ['c', 'd', 'e', 'f', 'g'].map((name, index) =>
    service(name, `10.1.1.${index}`, { labels: AT_INFRA }),
  );
  const OLD = 'DestinationRule/shop/old';
  const OLDER = 'DestinationRule/shop/older';
  const nameOf = (name: string): string => `shop/${name}.shop.svc.cluster.local`;
  const REVIEWS_KEY = nameOf('reviews');
  const world = (...objects: readonly MeshObject[]) =>
    modelOf(
      ...[AMBIENT, gateway('waypoint', { namespace: 'infra', from: 'All' })],
      ...[REVIEWS, REVIEWS_SERVICE, b(AT_INFRA), young, ...objects],
    );
  const lostOf = ({ outputs }: ReturnType<typeof modelOf>) =>
    (outputs.statuses.get('DestinationRule/shop/young')?.findings ?? [])
      .filter(({ code }) => code === 'HOST_CONFLICT')
      .map(({ path, message, fix }) => {
        assert.equal(path, 'spec.trafficPolicy');
        const [, services, winner] =
          /^is not in force for calls of (.*): (\S+)/.exec(message) ?? [];
        return [services, winner, fix];
      });
  const also = (winner: string): string => `write it in ${winner} as well, or take it out there`;

  // None was named, and its trafficPolicy was said to be in force nowhere, also where it is.
  for (const [title, objects, expected] of [
    ['exported to the namespace of one', [older(['.'])], [[REVIEWS_KEY, OLD, also(OLD)]]],
    ['exported to the waypoint of the other', [older(['infra'])], [[nameOf('b'), OLD, also(OLD)]]],
    [
      'exported to all',
      [older(['*'])],
      [[`${nameOf('b')}, ${REVIEWS_KEY}`, OLD, `write it in ${OLD}, or take it out there`]],
    ],
    [
      'one for each',
      [older(['.']), older(['infra'], 'older')],
      [
        [nameOf('b'), OLDER, `write it in ${OLDER}, or take it out there`],
        [REVIEWS_KEY, OLD, `write it in ${OLD}, or take it out there`],
      ],
    ],
    ['exported to none of them', [older(['far'])], []],
    [
      'of more than anybody reads',
      [older(['infra']), ...many],
      [[`${['b', 'c', 'd', 'e', 'f'].map(nameOf).join(', ')} and 1 more`, OLD, also(OLD)]],
    ],
  ] as const) {
    it(`names those for which its trafficPolicy is not in force: ${title}`, () => {
      assert.deepEqual(lostOf(world(...objects)), expected);
    });
  }

  it('names another once that goes by the waypoint', () => {
    const model = world(older(['.']));
    model.apply({ upserts: [b({})] });
    assert.deepEqual(lostOf(model), [
      [`${nameOf('b')}, ${REVIEWS_KEY}`, OLD, `write it in ${OLD}, or take it out there`],
    ]);
  });
});
