/** Routing at the waypoint: VirtualService, HTTPRoute and DestinationRule, over every HTTP version. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import {
  type Bed,
  clientYaml,
  conditionsOf,
  echoYaml,
  inForce,
  makeBed,
  namespaceYaml,
  serviceYaml,
  tailOfLogs,
  yaml,
} from './bed.ts';
import type { Caller } from './caller.ts';

const WORLD = [
  namespaceYaml('shop'),
  echoYaml({ name: 'reviews-v1', app: 'reviews', version: 'v1', node: 'node1' }),
  echoYaml({ name: 'reviews-v2', app: 'reviews', version: 'v2', node: 'node2' }),
  echoYaml({ name: 'reviews-v3', app: 'reviews', version: 'v3', node: 'node2' }),
  serviceYaml('reviews'),
  echoYaml({ name: 'mirror', node: 'node1' }),
  serviceYaml('mirror'),
  serviceYaml('nobody'),
  clientYaml({ name: 'client', node: 'node1' }),
].join('');

const RULE_KEY = 'VirtualService/shop/reviews';

function destinationRule(trafficPolicy?: object): string {
  return yaml({
    apiVersion: 'networking.istio.io/v1',
    kind: 'DestinationRule',
    metadata: { name: 'reviews', namespace: 'shop' },
    spec: {
      host: 'reviews',
      ...(trafficPolicy === undefined ? {} : { trafficPolicy }),
      subsets: ['v1', 'v2', 'v3'].map((version) => ({ name: version, labels: { version } })),
    },
  });
}

const toSubset = (subset: string, weight?: number): object => ({
  destination: { host: 'reviews', subset },
  ...(weight === undefined ? {} : { weight }),
});

function virtualService(http: readonly object[]): string {
  return yaml({
    apiVersion: 'networking.istio.io/v1',
    kind: 'VirtualService',
    metadata: { name: 'reviews', namespace: 'shop' },
    spec: { hosts: ['reviews'], http },
  });
}

describe('routing', () => {
  let bed: Bed;
  let client: Caller;
  let serial = 0;
  before(async () => {
    bed = await makeBed(WORLD + destinationRule());
    client = bed.caller('shop/client');
    // The first route makes the waypoint.
    await route([{ route: [toSubset('v1')] }]);
    await bed.lab.ready();
    await bed.lab.waitFor(
      async () => (await client.http({ url: 'http://reviews/' })).headers['x-version'] === 'v1',
      {
        what: 'the first route',
      },
    );
  });
  after(async () => await bed[Symbol.asyncDispose]());

  /** Applies routes and waits until the waypoint shows them: each version answers a question of its own. */
  const route = async (http: readonly object[]): Promise<void> => {
    serial += 1;
    const marker = {
      match: [{ uri: { exact: `/marker-${serial}` } }],
      directResponse: { status: 299, body: { string: `marker-${serial}` } },
    };
    bed.lab.apply(virtualService([marker, ...http]));
    const call = { url: `http://reviews/marker-${serial}` };
    try {
      await bed.lab.waitFor(async () => (await client.http(call)).status === 299, {
        what: `route ${serial}`,
        timeoutMs: 10_000,
      });
    } catch (error) {
      process.stderr.write(
        `${JSON.stringify(conditionsOf(bed.lab, RULE_KEY))}\n${tailOfLogs(bed.lab)}`,
      );
      throw error;
    }
  };
  const versionOf = async (
    path: string,
    headers: Readonly<Record<string, string>> = {},
    method = 'GET',
  ): Promise<string> => {
    const answer = await client.http({ url: `http://reviews${path}`, headers, method });
    return answer.status === 200
      ? (answer.headers['x-version'] ?? '')
      : `${answer.status} ${answer.error ?? answer.body}`;
  };
  const otherwise = { route: [toSubset('v1')] };

  it('lands 1000 requests at 80/20 within 3 points', async () => {
    await route([{ route: [toSubset('v1', 80), toSubset('v2', 20)] }]);
    const { versions, statuses } = await client.many({ url: 'http://reviews/' }, 1_000);
    assert.deepEqual(Object.keys(statuses), ['200']);
    const share = (versions['v2'] ?? 0) / 10;
    assert.ok(Math.abs(share - 20) <= 3, `v2 got ${share} %`);
    assert.equal((versions['v1'] ?? 0) + (versions['v2'] ?? 0), 1_000);
  });

  it('gives a header match all of its requests', async () => {
    await route([
      { match: [{ headers: { 'end-user': { exact: 'tester' } } }], route: [toSubset('v3')] },
      otherwise,
    ]);
    const tester = await client.many(
      { url: 'http://reviews/', headers: { 'end-user': 'tester' } },
      100,
    );
    assert.deepEqual(tester.versions, { v3: 100 });
    assert.deepEqual((await client.many({ url: 'http://reviews/' }, 100)).versions, { v1: 100 });
  });

  const matches: [string, object, [string, string, Record<string, string>, string][]][] = [
    [
      'uri exact',
      { uri: { exact: '/a' } },
      [
        ['/a', 'GET', {}, 'v2'],
        ['/a/b', 'GET', {}, 'v1'],
        ['/a?q=1', 'GET', {}, 'v2'],
      ],
    ],
    [
      'uri prefix',
      { uri: { prefix: '/a' } },
      [
        ['/a/b', 'GET', {}, 'v2'],
        ['/b/a', 'GET', {}, 'v1'],
      ],
    ],
    [
      'uri regex',
      { uri: { regex: '/[0-9]+' } },
      [
        ['/42', 'GET', {}, 'v2'],
        ['/42a', 'GET', {}, 'v1'],
      ],
    ],
    ['uri ignoring case', { uri: { exact: '/A' }, ignoreUriCase: true }, [['/a', 'GET', {}, 'v2']]],
    [
      'method',
      { method: { exact: 'POST' } },
      [
        ['/', 'POST', {}, 'v2'],
        ['/', 'GET', {}, 'v1'],
      ],
    ],
    [
      'header prefix',
      { headers: { 'x-a': { prefix: 'b' } } },
      [
        ['/', 'GET', { 'x-a': 'bc' }, 'v2'],
        ['/', 'GET', { 'x-a': 'cb' }, 'v1'],
      ],
    ],
    [
      'header regex',
      { headers: { 'x-a': { regex: '[0-9]+' } } },
      [
        ['/', 'GET', { 'x-a': '12' }, 'v2'],
        ['/', 'GET', { 'x-a': '1b' }, 'v1'],
      ],
    ],
    [
      'without header',
      { withoutHeaders: { 'x-a': {} } },
      [
        ['/', 'GET', {}, 'v2'],
        ['/', 'GET', { 'x-a': '1' }, 'v1'],
      ],
    ],
    [
      'query',
      { queryParams: { q: { exact: '1' } } },
      [
        ['/?q=1', 'GET', {}, 'v2'],
        ['/?q=2', 'GET', {}, 'v1'],
        ['/', 'GET', {}, 'v1'],
      ],
    ],
    [
      'authority',
      { authority: { exact: 'reviews' } },
      [
        ['/', 'GET', {}, 'v2'],
        ['/', 'GET', { host: 'reviews.shop' }, 'v1'],
      ],
    ],
    ['port', { port: 80 }, [['/', 'GET', {}, 'v2']]],
  ];
  for (const [title, match, questions] of matches) {
    it(`matches on ${title}`, async () => {
      await route([{ match: [match], route: [toSubset('v2')] }, otherwise]);
      for (const [path, method, headers, version] of questions) {
        assert.equal(
          await versionOf(path, headers, method),
          version,
          `${method} ${path} ${JSON.stringify(headers)}`,
        );
      }
    });
  }

  it('rewrites, and operates on headers', async () => {
    await route([
      {
        match: [{ uri: { prefix: '/old' } }],
        rewrite: { uri: '/new', authority: 'elsewhere' },
        headers: {
          request: { set: { 'x-set': 'by-mesh' }, add: { 'x-add': 'more' }, remove: ['x-remove'] },
          response: { set: { 'x-answer': 'yes' }, remove: ['x-secret'] },
        },
        route: [toSubset('v1')],
      },
      otherwise,
    ]);
    const answer = await client.http({
      url: 'http://reviews/old/page?q=1',
      headers: { 'x-set': 'by-client', 'x-add': 'first', 'x-remove': 'me' },
    });
    const echo = JSON.parse(answer.body);
    assert.equal(echo.path, '/new/page?q=1');
    assert.equal(echo.authority, 'elsewhere');
    assert.equal(echo.headers['x-set'], 'by-mesh');
    assert.match(echo.headers['x-add'], /first,\s?more/);
    assert.equal(echo.headers['x-remove'], undefined);
    assert.equal(answer.headers['x-answer'], 'yes');
    assert.equal(answer.headers['x-secret'], undefined);
  });

  it('redirects and answers by itself', async () => {
    await route([
      {
        match: [{ uri: { exact: '/go' } }],
        redirect: { uri: '/there', authority: 'example.com', redirectCode: 308 },
      },
      {
        match: [{ uri: { exact: '/tea' } }],
        directResponse: { status: 418, body: { string: 'short and stout' } },
      },
      otherwise,
    ]);
    const redirect = await client.http({ url: 'http://reviews/go' });
    assert.deepEqual(
      [redirect.status, redirect.headers['location']],
      [308, 'http://example.com/there'],
    );
    const direct = await client.http({ url: 'http://reviews/tea' });
    assert.deepEqual([direct.status, direct.body], [418, 'short and stout']);
  });

  it('times out, retries and injects faults', async () => {
    await route([
      {
        match: [{ uri: { prefix: '/slow' } }],
        timeout: '0.3s',
        retries: { attempts: 0 },
        route: [toSubset('v1')],
      },
      {
        match: [{ uri: { prefix: '/flaky' } }],
        retries: { attempts: 3, retryOn: '5xx' },
        route: [toSubset('v1')],
      },
      { match: [{ uri: { prefix: '/once' } }], retries: { attempts: 0 }, route: [toSubset('v1')] },
      {
        match: [{ uri: { prefix: '/abort' } }],
        fault: { abort: { httpStatus: 555, percentage: { value: 100 } } },
        route: [toSubset('v1')],
      },
      {
        match: [{ uri: { prefix: '/late' } }],
        fault: { delay: { fixedDelay: '0.4s', percentage: { value: 100 } } },
        route: [toSubset('v1')],
      },
      otherwise,
    ]);
    assert.equal((await client.http({ url: 'http://reviews/slow?delay=2000' })).status, 504);
    assert.equal(
      (await client.http({ url: 'http://reviews/flaky?fail=2&key=a' })).status,
      200,
      'two failures, three retries',
    );
    assert.equal(
      (await client.http({ url: 'http://reviews/once?fail=1&key=b' })).status,
      503,
      'none asked for',
    );
    assert.equal((await client.http({ url: 'http://reviews/abort' })).status, 555);
    const before = performance.now();
    assert.equal((await client.http({ url: 'http://reviews/late' })).status, 200);
    assert.ok(performance.now() - before >= 390, 'delayed');
  });

  it('mirrors without waiting for the copy', async () => {
    await route([
      { mirror: { host: 'mirror' }, mirrorPercentage: { value: 100 }, route: [toSubset('v1')] },
    ]);
    const answer = await client.http({ url: 'http://reviews/copied' });
    assert.equal(answer.headers['x-version'], 'v1');
  });

  it('answers 503 where there is no endpoint', async () => {
    await route([
      {
        match: [{ uri: { prefix: '/none' } }],
        route: [{ destination: { host: 'nobody', port: { number: 80 } } }],
      },
      otherwise,
    ]);
    const answer = await client.http({ url: 'http://reviews/none' });
    assert.equal(answer.status, 503);
    assert.match(answer.body, /no healthy upstream/);
  });

  it('carries HTTP/2, gRPC with trailers and WebSocket', async () => {
    await route([{ match: [{ uri: { prefix: '/pkg.' } }], route: [toSubset('v2')] }, otherwise]);
    const http2 = await client.http2({ url: 'http://reviews/two' });
    assert.equal(http2.headers['x-version'], 'v1');
    const grpc = await client.http2({ url: 'http://reviews/pkg.Service/Method', grpc: true });
    assert.equal(grpc.trailers?.['grpc-status'], '0', JSON.stringify(grpc));
    assert.equal(grpc.headers['x-version'], 'v2');
    const socket = await client.http({
      url: 'http://reviews/ws',
      headers: {
        connection: 'Upgrade',
        upgrade: 'websocket',
        'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
        'sec-websocket-version': '13',
      },
    });
    assert.deepEqual([socket.status, socket.body], [101, 'through the upgrade']);
  });

  it('an HTTPRoute means the same', async () => {
    bed.lab.delete(RULE_KEY);
    bed.lab.apply(
      ['v1', 'v2']
        .map((version) =>
          serviceYaml(`reviews-${version}`, 'shop', { selector: { app: 'reviews', version } }),
        )
        .join('') +
        yaml({
          apiVersion: 'gateway.networking.k8s.io/v1',
          kind: 'HTTPRoute',
          metadata: { name: 'reviews', namespace: 'shop' },
          spec: {
            parentRefs: [{ group: '', kind: 'Service', name: 'reviews', port: 80 }],
            rules: [
              {
                matches: [{ headers: [{ name: 'end-user', value: 'tester' }] }],
                backendRefs: [{ name: 'reviews-v2', port: 80 }],
              },
              {
                backendRefs: [
                  { name: 'reviews-v1', port: 80, weight: 80 },
                  { name: 'reviews-v2', port: 80, weight: 20 },
                ],
              },
            ],
          },
        }),
    );
    await bed.lab.waitFor(
      async () => {
        const call = { url: 'http://reviews/', headers: { 'end-user': 'tester' } };
        return (await client.many(call, 20)).versions['v2'] === 20;
      },
      { what: 'the HTTPRoute' },
    );
    const tester = await client.many(
      { url: 'http://reviews/', headers: { 'end-user': 'tester' } },
      100,
    );
    assert.deepEqual(tester.versions, { v2: 100 });
    const { versions } = await client.many({ url: 'http://reviews/' }, 1_000);
    assert.ok(Math.abs((versions['v2'] ?? 0) / 10 - 20) <= 3, JSON.stringify(versions));
    bed.lab.delete('HTTPRoute/shop/reviews');
  });

  it('balances as the DestinationRule says: round robin is even', async () => {
    bed.lab.apply(destinationRule({ loadBalancer: { simple: 'ROUND_ROBIN' } }));
    bed.lab.apply(virtualService([{ route: [{ destination: { host: 'reviews' } }] }]));
    await bed.lab.waitFor(async () => (await versionOf('/')) === 'v3', { what: 'every version' });
    await inForce(bed.lab, 'DestinationRule/shop/reviews');
    const { versions } = await client.many({ url: 'http://reviews/' }, 300, 1);
    for (const version of ['v1', 'v2', 'v3']) {
      assert.ok(Math.abs((versions[version] ?? 0) - 100) <= 3, JSON.stringify(versions));
    }
  });

  it('splits TCP connections by weight', async () => {
    bed.lab.apply(destinationRule());
    bed.lab.apply(
      yaml({
        apiVersion: 'networking.istio.io/v1',
        kind: 'VirtualService',
        metadata: { name: 'reviews', namespace: 'shop' },
        spec: {
          hosts: ['reviews'],
          http: [{ route: [toSubset('v1')] }],
          tcp: [{ match: [{ port: 9001 }], route: [toSubset('v2', 70), toSubset('v3', 30)] }],
        },
      }),
    );
    const count = async (batches: number): Promise<Record<string, number>> => {
      const counts: Record<string, number> = {};
      for (let batch = 0; batch < batches; batch += 1) {
        const answers = await Promise.all(
          Array.from({ length: 20 }, () => client.tcp({ host: 'reviews', port: 9001, wait: true })),
        );
        for (const { received, error } of answers) {
          const version = /reviews-(v\d)/.exec(received)?.[1] ?? `none: ${error}`;
          counts[version] = (counts[version] ?? 0) + 1;
        }
      }
      return counts;
    };
    await bed.lab.waitFor(async () => (await count(1))['v1'] === undefined, {
      what: 'the TCP route',
    });
    const counts = await count(10);
    assert.deepEqual(Object.keys(counts).sort(), ['v2', 'v3'], JSON.stringify(counts));
    // Four standard deviations of 200 connections at 30 %.
    assert.ok(Math.abs((counts['v3'] ?? 0) - 60) <= 26, JSON.stringify(counts));
  });

  it('refuses what exceeds a connection pool, at once', async () => {
    bed.lab.apply(
      destinationRule({
        connectionPool: {
          tcp: { maxConnections: 1 },
          http: { http1MaxPendingRequests: 1, http2MaxRequests: 1 },
        },
      }),
    );
    await route([{ route: [toSubset('v1')], retries: { attempts: 0 } }]);
    await inForce(bed.lab, 'DestinationRule/shop/reviews');
    const { statuses } = await client.many({ url: 'http://reviews/?delay=300' }, 20, 20);
    assert.ok((statuses['200'] ?? 0) >= 1, JSON.stringify(statuses));
    assert.ok((statuses['503'] ?? 0) >= 10, JSON.stringify(statuses));
  });

  it('ejects an endpoint that fails', async () => {
    bed.lab.apply(
      destinationRule({
        loadBalancer: { simple: 'ROUND_ROBIN' },
        outlierDetection: {
          consecutive5xxErrors: 3,
          interval: '1s',
          baseEjectionTime: '60s',
          maxEjectionPercent: 100,
        },
      }),
    );
    await route([
      { match: [{ uri: { prefix: '/bad' } }], route: [toSubset('v3')], retries: { attempts: 0 } },
      { route: [{ destination: { host: 'reviews' } }] },
    ]);
    await inForce(bed.lab, 'DestinationRule/shop/reviews');
    for (let i = 0; i < 6; i += 1) {
      await client.http({ url: 'http://reviews/bad?status=500' });
    }
    const answer = await client.http({ url: 'http://reviews/bad' });
    assert.equal(answer.status, 503, 'its subset has no healthy endpoint left');
  });
});
