/** Routing at the waypoint: VirtualService and HTTPRoute, over every HTTP version. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type Bed, serviceYaml, yaml } from './bed.ts';
import type { Caller } from './caller.ts';
import { Reviews, RULE_KEY, toSubset } from './reviews.ts';

describe('routing', () => {
  let reviews: Reviews;
  let bed: Bed;
  let client: Caller;
  before(async () => {
    reviews = await Reviews.start();
    ({ bed, client } = reviews);
  });
  after(async () => await reviews[Symbol.asyncDispose]());

  const otherwise = { route: [toSubset('v1')] };

  /** What v1 and v2 got; nobody else got anything. */
  async function sharesOf(count: number): Promise<readonly [number, number]> {
    const { versions, statuses } = await client.many({ url: 'http://reviews/' }, count);
    assert.deepEqual(Object.keys(statuses), ['200']);
    const { v1 = 0, v2 = 0 } = versions;
    assert.equal(v1 + v2, count);
    return [v1, v2];
  }

  const isNear20 = (v1: number, v2: number): boolean => Math.abs((v2 / (v1 + v2)) * 100 - 20) <= 3;

  it('lands 1000 requests at 80/20 within 3 points', async () => {
    await reviews.route([{ route: [toSubset('v1', 80), toSubset('v2', 20)] }]);
    const [v1, v2] = await sharesOf(1_000);
    // Chance alone is further off in one run of sixty; of four times as many requests in none.
    const [more1, more2] = isNear20(v1, v2) ? [0, 0] : await sharesOf(3_000);
    assert.ok(isNear20(v1 + more1, v2 + more2), `v2 got ${v2} of 1000, then ${more2} of 3000`);
  });

  it('gives a header match all of its requests', async () => {
    await reviews.route([
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
      await reviews.route([{ match: [match], route: [toSubset('v2')] }, otherwise]);
      for (const [path, method, headers, version] of questions) {
        assert.equal(
          await reviews.versionOf(path, headers, method),
          version,
          `${method} ${path} ${JSON.stringify(headers)}`,
        );
      }
    });
  }

  it('rewrites, and operates on headers', async () => {
    await reviews.route([
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
    await reviews.route([
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
    await reviews.route([
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

  it('mirrors, every request or a share of them, without waiting for the copy', async () => {
    const seen = async (key: string): Promise<number> =>
      (await client.echo(`http://mirror/?peek=${key}`)).seen;
    for (const [value, least, most] of [
      [100, 40, 40],
      [25, 1, 25],
    ] as const) {
      const key = `mirrored-${value}`;
      await reviews.route([
        { mirror: { host: 'mirror' }, mirrorPercentage: { value }, route: [toSubset('v1')] },
      ]);
      const tally = await client.many({ url: `http://reviews/copied?count=${key}` }, 40);
      assert.deepEqual(tally.versions, { v1: 40 }, 'the answer is the one of the route');
      await bed.lab.waitFor(async () => (await seen(key)) >= least, {
        what: `copies of ${value} %`,
      });
      const copies = await client.echo(`http://mirror/?peek=${key}`);
      assert.ok(copies.seen <= most, `${copies.seen} copies of 40 at ${value} %`);
      assert.equal(copies.host, 'reviews-shadow');
    }
    await reviews.route([
      { mirror: { host: 'nobody' }, mirrorPercentage: { value: 100 }, route: [toSubset('v1')] },
    ]);
    assert.equal(await reviews.versionOf('/'), 'v1', 'a copy that nobody takes costs nothing');
  });

  it('answers 503 where there is no endpoint', async () => {
    await reviews.route([
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
    await reviews.route([
      { match: [{ uri: { prefix: '/pkg.' } }], route: [toSubset('v2')] },
      otherwise,
    ]);
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
});
