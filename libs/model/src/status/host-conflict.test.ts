/** One host in several namespaces, behind one waypoint: it sends to one of them, and the others say so. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { MeshObject } from '@ambit/api';

import { gateway, modelOf, namespace, parsed, service, waypointPod } from '../objects.testing.ts';
import { MeshIndex } from '../view/mesh-index.ts';
import { WaypointView } from '../view/waypoint-view.ts';

const HOST = 'api.example.com';
const AT_INFRA = {
  'istio.io/use-waypoint': 'w',
  'istio.io/use-waypoint-namespace': 'infra',
};
const SHARED = [
  gateway('w', { namespace: 'infra', from: 'All' }),
  waypointPod('w', 'infra'),
  ...['a', 'b'].map((name) => namespace(name, AT_INFRA)),
];

function entry(space: string, year: number, hosts: readonly string[] = [HOST]): MeshObject {
  return parsed({
    apiVersion: 'networking.istio.io/v1',
    kind: 'ServiceEntry',
    metadata: { name: 'api', namespace: space, creationTimestamp: `${year}-01-01T00:00:00Z` },
    spec: { hosts, resolution: 'DNS', ports: [{ number: 80, name: 'http', protocol: 'HTTP' }] },
  });
}

/** What the entry says of its waypoint, and whose is what that sends to. */
function saidOf(space: string, objects: readonly MeshObject[], host = HOST) {
  const { outputs } = modelOf(...objects);
  const { conditions = [], findings = [] } =
    outputs.statuses.get(`ServiceEntry/${space}/api`) ?? {};
  const found = conditions.find(({ type }) => type === 'WaypointReady');
  const index = new MeshIndex({ network: '' });
  index.apply({ changed: outputs.addresses.values(), removed: [] });
  const view = new WaypointView(index, {
    ...{ namespace: 'infra', name: 'w', className: 'istio-waypoint' },
    ...{ trustDomain: 'cluster.local', rootNamespace: 'istio-system' },
    clusterDomain: 'cluster.local',
  });
  return {
    said: `${found?.status} ${found?.reason}`,
    message: found?.message ?? '',
    paths: findings.flatMap(({ code, path }) => (code === 'HOST_CONFLICT' ? [path] : [])),
    sentTo: view.cluster({ host, port: 80 })?.service.namespace,
  };
}

describe('a ServiceEntry whose host another namespace has too', () => {
  const OLD = entry('a', 2020);
  const YOUNG = entry('b', 2021);
  const REVIEWS = 'reviews.shop.svc.cluster.local';
  const IN_SHOP = [
    service('reviews', '10.1.0.1'),
    namespace('shop', AT_INFRA),
    entry('b', 2019, [REVIEWS]),
  ];
  // The younger one was said to go through the waypoint, which sends its calls to the other's endpoints.
  for (const [title, space, objects, host, expected, sentTo] of [
    ['is the younger', 'b', [OLD, YOUNG], HOST, 'False Conflicted', 'a'],
    ['is the older', 'a', [OLD, YOUNG], HOST, 'True WaypointReady', 'a'],
    ['is alone', 'b', [YOUNG], HOST, 'True WaypointReady', 'b'],
    [
      'is the older, beside one of the namespace of the waypoint',
      'a',
      [OLD, entry('infra', 2021)],
      HOST,
      'False Conflicted',
      'infra',
    ],
    [
      'has one of several hosts that is another’s',
      'b',
      [OLD, entry('b', 2021, ['other.example.com', HOST])],
      HOST,
      'False Conflicted',
      'a',
    ],
    ['has the host of a Service', 'b', IN_SHOP, REVIEWS, 'False Conflicted', 'shop'],
  ] as const) {
    it(`says ${expected} where it ${title}`, () => {
      const found = saidOf(space, [...SHARED, ...objects], host);
      assert.equal(found.said, expected);
      assert.equal(found.sentTo, sentTo);
      assert.equal(found.sentTo === space, expected.startsWith('True'));
    });
  }

  it('names the other, the host and its path', () => {
    const both = entry('b', 2021, ['other.example.com', HOST]);
    const { message, paths } = saidOf('b', [...SHARED, OLD, both]);
    assert.match(message, /b\/api\.example\.com .* go to ServiceEntry\/a\/api/);
    assert.deepEqual(paths, ['spec.hosts[1]']);
  });

  it('says nothing of it at a waypoint of its own namespace, nor without one', () => {
    const own = [
      namespace('b', { 'istio.io/use-waypoint': 'w' }),
      gateway('w', { namespace: 'b' }),
    ];
    assert.match(saidOf('b', [...own, OLD, YOUNG]).said, /WaypointNotReady/);
    assert.equal(saidOf('b', [OLD, YOUNG]).said, 'undefined undefined');
  });

  it('says so no longer once the other is gone', () => {
    const model = modelOf(...SHARED, OLD, YOUNG);
    const said = () =>
      model.outputs.statuses
        .get('ServiceEntry/b/api')
        ?.conditions.find(({ type }) => type === 'WaypointReady')?.reason;
    assert.equal(said(), 'Conflicted');
    model.apply({ removes: ['ServiceEntry/a/api'] });
    assert.equal(said(), 'WaypointReady');
  });
});

describe('a ServiceEntry whose host another object of its namespace has too', () => {
  const ENDPOINT = '10.9.0.2';
  const named = (name: string, year: number, hosts: readonly string[] = [HOST]): MeshObject =>
    parsed({
      apiVersion: 'networking.istio.io/v1',
      kind: 'ServiceEntry',
      metadata: { name, namespace: 'shop', creationTimestamp: `${year}-01-01T00:00:00Z` },
      spec: {
        ...{
          hosts,
          resolution: 'STATIC',
          endpoints: [{ address: name === 'e' ? ENDPOINT : '10.9.0.1' }],
        },
        ports: [{ number: 80, name: 'http', protocol: 'HTTP' }],
      },
    });
  const OLD = named('old', 2020);
  const REVIEWS = 'reviews.shop.svc.cluster.local';
  const TWO = ['other.example.com', HOST.toUpperCase()];
  // None was told, and neither its ports nor its endpoints were used.
  for (const [title, served, objects, paths, winner] of [
    ['is the younger', 0, [OLD, named('e', 2021)], ['spec.hosts[0]'], 'ServiceEntry/shop/old'],
    ['is the older', 1, [OLD, named('e', 2019)], [], undefined],
    ['is alone', 1, [named('e', 2021)], [], undefined],
    ['has another host', 1, [OLD, named('e', 2021, ['other.example.com'])], [], undefined],
    ['has one of two', 1, [OLD, named('e', 2021, TWO)], ['spec.hosts[1]'], 'ServiceEntry/shop/old'],
    [
      'has that of a Service',
      0,
      [service('reviews', '10.1.0.1'), named('e', 2019, [REVIEWS])],
      ['spec.hosts[0]'],
      'Service/shop/reviews',
    ],
    ['has that of one elsewhere', 1, [entry('a', 2019), named('e', 2021)], [], undefined],
  ] as const) {
    it(`says ${paths.join() || 'nothing'} where it ${title}`, () => {
      const { outputs } = modelOf(...objects);
      const { findings = [] } = outputs.statuses.get('ServiceEntry/shop/e') ?? {};
      const found = findings.filter(({ code }) => code === 'HOST_CONFLICT');
      assert.deepEqual(
        found.map(({ path }) => path),
        paths,
      );
      assert.ok(
        found.every(
          ({ message, fix }) => message.includes(winner ?? '-') && fix?.includes(winner ?? '-'),
        ),
      );
      const serving = [...outputs.addresses.values()].flatMap((address) =>
        address.kind === 'workload' && address.workload.addresses.includes(ENDPOINT)
          ? Object.keys(address.workload.services)
          : [],
      );
      assert.equal(serving.length, served);
    });
  }
});
