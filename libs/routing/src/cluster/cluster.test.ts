import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { TrafficPolicy } from '@ambit/api';
import { fakeService, fakeWorkload } from '../testing.ts';
import { destinationRule, meta } from '../testing-objects.ts';
import { resolveCluster, resolveEndpoints } from './cluster.ts';
import type { DestinationRuleScope } from './traffic-policy.ts';

const SERVICE = { namespace: 'shop', hostname: 'reviews.shop.svc.cluster.local' };
const REF = { host: SERVICE.hostname, port: 80 };

function scope(destinationRules: DestinationRuleScope['destinationRules']): DestinationRuleScope {
  return {
    destinationRules,
    clientNamespace: 'client',
    rootNamespace: 'istio-system',
    clusterDomain: 'cluster.local',
  };
}

function policy(
  simple: 'RANDOM' | 'ROUND_ROBIN',
  over: Partial<TrafficPolicy> = {},
): TrafficPolicy {
  return { loadBalancer: { simple }, portLevelSettings: [], ...over };
}

const POOL = { http: { http2MaxRequests: 7 } };

describe('resolveCluster', () => {
  it('has defaults without a rule', () => {
    const cluster = resolveCluster(REF, SERVICE, scope([]));
    assert.equal(cluster?.name, 'outbound|80||reviews.shop.svc.cluster.local');
    assert.deepEqual(cluster?.loadBalancer, { simple: 'LEAST_REQUEST' });
    assert.deepEqual(cluster?.objects, []);
  });

  it('looks in the client, then the service, then the root namespace, and never merges', () => {
    const host = SERVICE.hostname;
    const inClient = destinationRule(
      { host, trafficPolicy: policy('RANDOM') },
      meta('c', { namespace: 'client' }),
    );
    const inService = destinationRule({
      trafficPolicy: policy('ROUND_ROBIN'),
      subsets: [{ name: 'v1', labels: { version: 'v1' } }],
    });
    const inRoot = destinationRule(
      { host: '*.svc.cluster.local', trafficPolicy: policy('RANDOM') },
      meta('r', { namespace: 'istio-system' }),
    );
    const elsewhere = destinationRule({ host }, meta('e', { namespace: 'elsewhere' }));
    const objectsOf = (...rules: Parameters<typeof scope>[0][number][]) =>
      resolveCluster(REF, SERVICE, scope(rules))?.objects;
    assert.deepEqual(objectsOf(inRoot, inService, inClient), ['DestinationRule/client/c']);
    assert.deepEqual(objectsOf(inRoot, inService), ['DestinationRule/shop/reviews']);
    assert.deepEqual(objectsOf(inRoot), ['DestinationRule/istio-system/r']);
    assert.deepEqual(objectsOf(elsewhere), []);
    const subset = { ...REF, subset: 'v1' };
    assert.equal(resolveCluster(subset, SERVICE, scope([inService, inClient])), undefined);
  });

  it('does not see what is not exported to the client, or is for some clients only', () => {
    const hidden = destinationRule({ exportTo: ['.'], trafficPolicy: policy('RANDOM') });
    const selective = destinationRule({ workloadSelector: { matchLabels: { a: 'b' } } });
    assert.deepEqual(resolveCluster(REF, SERVICE, scope([hidden, selective]))?.objects, []);
  });

  it('prefers the exact host, concatenates subsets, takes the oldest top policy', () => {
    const wild = destinationRule({ host: '*.local', trafficPolicy: policy('RANDOM') }, meta('w'));
    const old = destinationRule(
      { subsets: [{ name: 'v1', labels: { version: 'one' } }] },
      meta('old', { creationTimestampMs: 1 }),
    );
    const young = destinationRule(
      {
        trafficPolicy: policy('ROUND_ROBIN'),
        subsets: [
          { name: 'v1', labels: { version: 'other' } },
          { name: 'v2', labels: { version: 'two' } },
        ],
      },
      meta('young', { creationTimestampMs: 2 }),
    );
    const rules = scope([young, wild, old]);
    const v1 = resolveCluster({ ...REF, subset: 'v1' }, SERVICE, rules);
    const v2 = resolveCluster({ ...REF, subset: 'v2' }, SERVICE, rules);
    assert.deepEqual(v1?.subsetLabels, { version: 'one' });
    assert.deepEqual(v2?.subsetLabels, { version: 'two' });
    assert.deepEqual(v2?.loadBalancer, { simple: 'ROUND_ROBIN' });
    assert.equal(resolveCluster({ ...REF, subset: 'v3' }, SERVICE, rules), undefined);
  });

  it('layers block by block; a port entry replaces all blocks', () => {
    const rule = destinationRule({
      trafficPolicy: policy('RANDOM', {
        connectionPool: POOL,
        requestDefaults: { timeoutMs: 5 },
        portLevelSettings: [{ port: { number: 81 }, loadBalancer: { simple: 'ROUND_ROBIN' } }],
      }),
      subsets: [
        { name: 'plain', labels: {} },
        { name: 'own', labels: {}, trafficPolicy: policy('ROUND_ROBIN') },
        {
          name: 'ported',
          labels: {},
          trafficPolicy: {
            portLevelSettings: [{ port: { number: 80 }, connectionPool: { tcp: {} } }],
          },
        },
      ],
    });
    const of = (port: number, subset?: string) =>
      resolveCluster(
        { ...REF, port, ...(subset === undefined ? {} : { subset }) },
        SERVICE,
        scope([rule]),
      );
    const shapeOf = (port: number, subset?: string) => {
      const cluster = of(port, subset);
      return [cluster?.loadBalancer.simple, cluster?.connectionPool];
    };
    assert.deepEqual(shapeOf(80), ['RANDOM', POOL]);
    assert.deepEqual(shapeOf(81), ['ROUND_ROBIN', {}]);
    assert.deepEqual(shapeOf(80, 'plain'), ['RANDOM', POOL]);
    assert.deepEqual(shapeOf(80, 'own'), ['ROUND_ROBIN', POOL]);
    assert.deepEqual(shapeOf(80, 'ported'), ['LEAST_REQUEST', { tcp: {} }]);
    assert.deepEqual(of(80, 'own')?.requestDefaults, { timeoutMs: 5 });
  });
});

describe('resolveEndpoints', () => {
  const key = 'shop/reviews.shop.svc.cluster.local';
  const service = fakeService('reviews', {
    ports: [
      { servicePort: 80, targetPort: 8080 },
      { servicePort: 81, targetPort: 0 },
    ],
  });
  const named = fakeWorkload('a', {
    addresses: ['10.0.0.1'],
    labels: { version: 'v1' },
    services: { [key]: [{ servicePort: 81, targetPort: 9090 }] },
  });
  const plain = fakeWorkload('b', {
    addresses: ['10.0.0.2'],
    labels: { version: 'v2' },
    services: { [key]: [] },
    capacity: 3,
  });
  const homeless = fakeWorkload('c', { services: { [key]: [] } });
  const workloads = [named, plain, homeless];

  for (const [title, port, labels, expected] of [
    ['the shared target port', 80, {}, ['a:8080:1', 'b:8080:3']],
    ['a named port where it exists', 81, {}, ['a:9090:1']],
    ['a subset', 80, { version: 'v2' }, ['b:8080:3']],
    ['a subset of nobody', 80, { version: 'v3' }, []],
    ['a port of nobody', 82, {}, []],
  ] as const) {
    it(`finds ${title}`, () => {
      const found = resolveEndpoints({ service, port, labels, workloads });
      assert.deepEqual(
        found.map(({ workload, targetPort, weight }) => `${workload.name}:${targetPort}:${weight}`),
        expected,
      );
    });
  }
});
