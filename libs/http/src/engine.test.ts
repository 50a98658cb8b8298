import assert from 'node:assert/strict';
import { Agent, type RequestListener } from 'node:http';
import { describe, it } from 'node:test';
import { ask } from './fixtures/client.ts';
import { startBackend, startHarness } from './fixtures/harness.ts';

interface Seen {
  readonly name: string;
  readonly method: string;
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** Answers with what it saw. */
function echo(name: string): RequestListener {
  return (request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const { method, url, headers } = request;
      const body = Buffer.concat(chunks).toString();
      response.setHeader('x-backend', name);
      response.end(JSON.stringify({ name, method, url, headers, body }));
    });
  };
}

const seenBy = (body: string): Seen => JSON.parse(body) as Seen;
const virtualService = (...http: unknown[]): Record<string, unknown> => ({
  kind: 'VirtualService',
  spec: { hosts: ['reviews'], http },
});
const toReviews = { route: [{ destination: { host: 'reviews' } }] };

/** One echoing backend behind the given objects. */
async function startEcho(...objects: Record<string, unknown>[]) {
  const backend = await startBackend(echo('v1'));
  const harness = await startHarness({ backends: [{ name: 'v1', port: backend.port }], objects });
  return {
    ...harness,
    port: harness.port,
    [Symbol.asyncDispose]: async () => {
      await harness[Symbol.asyncDispose]();
      await backend[Symbol.asyncDispose]();
    },
  };
}

describe('HttpEngine, a request', () => {
  it('is forwarded, and the caller is named', async () => {
    await using harness = await startEcho();
    const answer = await ask({ port: harness.port, path: '/a?b=c', body: 'hello' });
    const seen = seenBy(answer.body);
    assert.equal(answer.status, 200);
    assert.deepEqual([seen.method, seen.url, seen.body], ['POST', '/a?b=c', 'hello']);
    assert.equal(seen.headers['host'], 'reviews');
    assert.equal(
      seen.headers['x-forwarded-client-cert'],
      'By=spiffe://cluster.local/ns/shop/sa/waypoint;URI=spiffe://cluster.local/ns/shop/sa/client',
    );
    assert.equal(seen.headers['x-forwarded-for'], '10.0.0.7');
    assert.equal(seen.headers['x-forwarded-proto'], 'http');
    assert.equal(seen.headers['x-envoy-attempt-count'], '1');
    assert.match(seen.headers['x-request-id'] ?? '', /^[0-9a-f-]{36}$/);
    const record = await harness.nextRequest();
    assert.equal(record.status, 200);
    assert.deepEqual(record.flags, ['-']);
    assert.equal(record.bytesReceived, 5);
    assert.equal(record.routeName, 'default');
    assert.equal(record.endpoint?.workload.name, 'v1');
  });

  it('loses forged and hop-by-hop headers', async () => {
    await using harness = await startEcho();
    const answer = await ask({
      port: harness.port,
      headers: {
        'x-forwarded-client-cert': 'By=x;URI=spiffe://cluster.local/ns/shop/sa/admin',
        'x-ambit-source': 'spiffe://cluster.local/ns/shop/sa/admin',
        'X-Envoy-Original-Path': '/admin',
        'x-forwarded-for': '1.2.3.4',
        connection: 'keep-alive, x-secret',
        'x-secret': '1',
        'proxy-authorization': 'x',
        'x-kept': 'yes',
      },
    });
    const { headers } = seenBy(answer.body);
    assert.match(headers['x-forwarded-client-cert'] ?? '', /URI=spiffe:[^;]*\/sa\/client$/);
    for (const name of [
      'x-ambit-source',
      'x-envoy-original-path',
      'x-secret',
      'proxy-authorization',
    ]) {
      assert.equal(headers[name], undefined, name);
    }
    assert.equal(headers['x-kept'], 'yes');
    assert.equal(headers['x-forwarded-for'], '1.2.3.4,10.0.0.7');
  });

  it('reaches the upstream over a kept connection', async () => {
    await using harness = await startEcho();
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    for (let index = 0; index < 5; index += 1) {
      assert.equal((await ask({ port: harness.port, agent, body: `${index}` })).status, 200);
    }
    assert.equal(harness.plane.dials, 1);
    agent.destroy();
  });

  it('carries 100-continue only after policy allowed', async () => {
    const deny = {
      kind: 'AuthorizationPolicy',
      spec: { action: 'DENY', rules: [{ to: [{ operation: { paths: ['/no'] } }] }] },
    };
    await using harness = await startEcho(deny);
    const headers = { expect: '100-continue' };
    const yes = await ask({ port: harness.port, path: '/yes', headers, body: 'x' });
    assert.equal(yes.status, 200);
    assert.equal(seenBy(yes.body).body, 'x');
    assert.equal((await ask({ port: harness.port, path: '/no', headers, body: 'x' })).status, 403);
  });
});

describe('HttpEngine, policy', () => {
  const policy = (action: string, ...rules: unknown[]): Record<string, unknown> => ({
    kind: 'AuthorizationPolicy',
    metadata: { name: 'guard', namespace: 'shop' },
    spec: { action, rules },
  });
  const onlyRead = policy('ALLOW', {
    to: [{ operation: { methods: ['GET'], paths: ['/books*'] } }],
  });
  const noAdmin = policy(
    'DENY',
    { to: [{ operation: { paths: ['/admin*'] } }] },
    { when: [{ key: 'request.headers[x-evil]', values: ['*'] }] },
  );
  const cases = [
    ['GET', '/books/1', {}, onlyRead, 200],
    ['POST', '/books/1', {}, onlyRead, 403],
    ['GET', '/other', {}, onlyRead, 403],
    ['GET', '/books/../admin', {}, onlyRead, 403],
    ['GET', '/books', {}, noAdmin, 200],
    ['GET', '/admin/x', {}, noAdmin, 403],
    ['GET', '/x/%2e%2e/admin', {}, noAdmin, 403],
    ['GET', '/%61dmin', {}, noAdmin, 403],
    ['GET', '/books', { 'x-evil': '1' }, noAdmin, 403],
    ['GET', '/a%00b', {}, noAdmin, 400],
    ['GET', '/a%zz', {}, noAdmin, 400],
  ] as const;
  for (const [method, path, headers, object, status] of cases) {
    it(`answers ${status} to ${method} ${path} ${JSON.stringify(headers)}`, async () => {
      await using harness = await startEcho(object);
      const answer = await ask({ port: harness.port, method, path, headers });
      assert.equal(answer.status, status);
      const record = await harness.nextRequest();
      assert.equal(record.status, status);
      if (status === 403) {
        assert.equal(answer.body, 'RBAC: access denied');
        assert.match(record.error?.message ?? '', /shop\/guard/);
        assert.equal(harness.plane.dials, 0);
      }
    });
  }
});

describe('HttpEngine, routes', () => {
  const split = virtualService(
    {
      match: [{ headers: { 'x-user': { exact: 'jason' } } }],
      route: [{ destination: { host: 'reviews', subset: 'v2' } }],
    },
    {
      route: [
        { destination: { host: 'reviews', subset: 'v1' }, weight: 80 },
        { destination: { host: 'reviews', subset: 'v2' }, weight: 20 },
      ],
    },
  );
  const subsets = {
    kind: 'DestinationRule',
    spec: {
      host: 'reviews',
      subsets: ['v1', 'v2'].map((version) => ({ name: version, labels: { version } })),
    },
  };

  it('splits by weight within three points, and a header match always wins', async () => {
    await using one = await startBackend(echo('v1'));
    await using two = await startBackend(echo('v2'));
    await using harness = await startHarness({
      backends: [
        { name: 'v1', port: one.port, labels: { version: 'v1' } },
        { name: 'v2', port: two.port, labels: { version: 'v2' } },
      ],
      objects: [split, subsets],
    });
    const agent = new Agent({ keepAlive: true, maxSockets: 8 });
    const names = await Promise.all(
      Array.from(
        { length: 1000 },
        async () => (await ask({ port: harness.port, agent })).headers['x-backend'],
      ),
    );
    const share = names.filter((name) => name === 'v1').length / 10;
    assert.ok(share > 77 && share < 83, `${share} % went to v1`);
    const jason = await Promise.all(
      Array.from({ length: 50 }, async () => {
        const headers = { 'x-user': 'jason' };
        return (await ask({ port: harness.port, agent, headers })).headers['x-backend'];
      }),
    );
    assert.deepEqual([...new Set(jason)], ['v2']);
    agent.destroy();
  });

  it('rewrites path and host, and changes headers', async () => {
    await using harness = await startEcho(
      virtualService({
        ...toReviews,
        match: [{ uri: { prefix: '/api/' } }],
        rewrite: { uri: '/v2/', authority: 'inner' },
        headers: {
          request: { set: { 'x-new': 'a' }, remove: ['x-old'] },
          response: { set: { 'x-answer': '%RESPONSE_CODE%' }, remove: ['x-backend'] },
        },
      }),
    );
    const answer = await ask({ port: harness.port, path: '/api/x?q=1', headers: { 'x-old': '1' } });
    const seen = seenBy(answer.body);
    assert.deepEqual([seen.url, seen.headers['host']], ['/v2/x?q=1', 'inner']);
    assert.deepEqual([seen.headers['x-new'], seen.headers['x-old']], ['a', undefined]);
    assert.equal(seen.headers['x-envoy-original-path'], '/api/x?q=1');
    assert.deepEqual([answer.headers['x-answer'], answer.headers['x-backend']], ['200', undefined]);
  });

  it('sends no path that a rewrite has made unclear', async () => {
    await using harness = await startEcho(
      virtualService(
        { ...toReviews, match: [{ uri: { prefix: '/v1' } }], rewrite: { uri: '/' } },
        {
          ...toReviews,
          match: [{ uri: { prefix: '/regex' } }],
          rewrite: { uriRegexRewrite: { match: '^/regex/?(.*)$', rewrite: '\\1' } },
        },
      ),
    );
    for (const [path, status] of [
      ['/v1/a', 200],
      ['/v1.hidden', 200],
      ['/v1..a', 200],
      ['/v1../admin', 400],
      ['/v1..', 400],
      ['/v1./admin', 400],
      ['/v1..?q', 400],
      ['/v1%2e%2e/admin', 400],
      ['/regex/a', 400],
    ] as const) {
      assert.equal((await ask({ port: harness.port, path })).status, status, path);
    }
  });

  it('redirects, answers directly, aborts, and knows no route', async () => {
    await using harness = await startEcho(
      virtualService(
        { match: [{ uri: { prefix: '/old' } }], redirect: { uri: '/new', redirectCode: 302 } },
        {
          match: [{ uri: { exact: '/direct' } }],
          directResponse: { status: 418, body: { string: 'teapot' } },
        },
        {
          ...toReviews,
          match: [{ uri: { exact: '/fault' } }],
          fault: { abort: { percentage: { value: 100 }, httpStatus: 555 } },
        },
        {
          ...toReviews,
          match: [{ uri: { exact: '/slow' } }],
          fault: { delay: { percentage: { value: 100 }, fixedDelay: '30ms' } },
        },
      ),
    );
    const flags = async (): Promise<readonly string[]> => (await harness.nextRequest()).flags;
    const redirect = await ask({ port: harness.port, path: '/old?q=1' });
    assert.deepEqual([redirect.status, redirect.headers.location], [302, 'http://reviews/new?q=1']);
    assert.deepEqual(await flags(), ['-']);
    const direct = await ask({ port: harness.port, path: '/direct' });
    assert.deepEqual([direct.status, direct.body], [418, 'teapot']);
    await flags();
    const fault = await ask({ port: harness.port, path: '/fault' });
    assert.deepEqual([fault.status, fault.body], [555, 'fault filter abort']);
    assert.deepEqual(await flags(), ['FI']);
    const before = performance.now();
    assert.equal((await ask({ port: harness.port, path: '/slow' })).status, 200);
    assert.ok(performance.now() - before >= 29, 'not before its delay is over');
    assert.deepEqual(await flags(), ['DI']);
    assert.equal((await ask({ port: harness.port, path: '/none' })).status, 404);
    assert.deepEqual(await flags(), ['NR']);
  });

  it('copies to a mirror, and answers from the route alone', async () => {
    const mirrored = Promise.withResolvers<Seen>();
    await using shadow = await startBackend((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        const { method, url, headers } = request;
        const body = Buffer.concat(chunks).toString();
        mirrored.resolve({ name: 'shadow', method, url, headers, body } as Seen);
        response.statusCode = 500;
        response.end();
      });
    });
    await using main = await startBackend(echo('v1'));
    await using harness = await startHarness({
      backends: [
        { name: 'v1', port: main.port },
        { name: 'copy', port: shadow.port, service: 'copy' },
      ],
      objects: [virtualService({ ...toReviews, mirror: { host: 'copy' } })],
    });
    const answer = await ask({ port: harness.port, path: '/x', body: 'data' });
    assert.equal(answer.status, 200);
    const seen = await mirrored.promise;
    assert.deepEqual([seen.url, seen.body, seen.headers['host']], ['/x', 'data', 'reviews-shadow']);
  });

  it('refuses a preflight that a rule wants answered', async () => {
    await using harness = await startEcho(
      virtualService({ ...toReviews, corsPolicy: { allowOrigins: [{ exact: 'http://a' }] } }),
    );
    const headers = { origin: 'http://a', 'access-control-request-method': 'PUT' };
    assert.equal((await ask({ port: harness.port, method: 'OPTIONS', headers })).status, 501);
    assert.equal((await ask({ port: harness.port })).status, 200);
  });
});

describe('HttpEngine, failures', () => {
  it('says UH without an endpoint and NC without the subset', async () => {
    await using empty = await startHarness({ backends: [] });
    const answer = await ask({ port: empty.port });
    assert.deepEqual([answer.status, answer.body], [503, 'no healthy upstream']);
    assert.deepEqual((await empty.nextRequest()).flags, ['UH']);
    await using harness = await startEcho(
      virtualService({ route: [{ destination: { host: 'reviews', subset: 'v9' } }] }),
    );
    assert.equal((await ask({ port: harness.port })).status, 503);
    assert.deepEqual((await harness.nextRequest()).flags, ['NC']);
  });

  it('says UF when nobody listens, after the retries of the default', async () => {
    const gone = await startBackend(echo('x'));
    await gone[Symbol.asyncDispose]();
    await using harness = await startHarness({ backends: [{ name: 'v1', port: gone.port }] });
    const answer = await ask({ port: harness.port });
    assert.equal(answer.status, 503);
    assert.match(answer.body, /^upstream connect error/);
    const record = await harness.nextRequest();
    assert.deepEqual([...record.flags].sort(), ['UF', 'URX']);
    assert.equal(record.attempts, 3);
  });

  it('retries with the same body, as often as the rule says', async () => {
    let tries = 0;
    const bodies: string[] = [];
    await using backend = await startBackend((request, response) => {
      tries += 1;
      const isLast = tries === 3;
      request.on('data', (chunk: Buffer) => bodies.push(chunk.toString()));
      request.on('end', () => {
        response.statusCode = isLast ? 200 : 503;
        response.end(request.headers['x-envoy-attempt-count']);
      });
    });
    await using harness = await startHarness({
      backends: [{ name: 'v1', port: backend.port }],
      objects: [virtualService({ ...toReviews, retries: { attempts: 3, retryOn: '5xx' } })],
    });
    const answer = await ask({ port: harness.port, body: 'again' });
    assert.deepEqual([answer.status, answer.body], [200, '3']);
    assert.deepEqual(bodies, ['again', 'again', 'again']);
    assert.equal((await harness.nextRequest()).attempts, 3);
  });

  it('does not retry a body that it could not keep', async () => {
    let tries = 0;
    await using backend = await startBackend((request, response) => {
      tries += 1;
      request.resume().on('end', () => {
        response.statusCode = 503;
        response.end();
      });
    });
    await using harness = await startHarness({
      backends: [{ name: 'v1', port: backend.port }],
      objects: [virtualService({ ...toReviews, retries: { attempts: 3, retryOn: '5xx' } })],
    });
    const body = Buffer.alloc(100_000, 'x');
    assert.equal((await ask({ port: harness.port, body })).status, 503);
    assert.equal(tries, 1);
  });

  it('answers 504 when the upstream does not', async () => {
    await using backend = await startBackend((request) => void request.resume());
    await using harness = await startHarness({
      backends: [{ name: 'v1', port: backend.port }],
      objects: [virtualService({ ...toReviews, timeout: '50ms' })],
    });
    const answer = await ask({ port: harness.port });
    assert.deepEqual([answer.status, answer.body], [504, 'upstream request timeout']);
    assert.deepEqual((await harness.nextRequest()).flags, ['UT']);
  });

  it('cuts an answer that breaks off, so that nobody takes it for complete', async () => {
    await using backend = await startBackend((_request, response) => {
      response.write('half', () => response.socket?.end());
    });
    await using harness = await startHarness({ backends: [{ name: 'v1', port: backend.port }] });
    await assert.rejects(ask({ port: harness.port }));
    assert.deepEqual((await harness.nextRequest()).flags, ['UC']);
  });

  it('says UO at the limit of requests, and frees the place', async () => {
    const arrived = Promise.withResolvers<void>();
    const go = Promise.withResolvers<void>();
    await using backend = await startBackend((request, response) => {
      arrived.resolve();
      request.resume();
      go.promise.then(
        () => response.end('done'),
        () => undefined,
      );
    });
    await using harness = await startHarness({
      backends: [{ name: 'v1', port: backend.port }],
      objects: [
        {
          kind: 'DestinationRule',
          spec: {
            host: 'reviews',
            trafficPolicy: { connectionPool: { http: { http2MaxRequests: 1 } } },
          },
        },
      ],
    });
    const first = ask({ port: harness.port });
    await arrived.promise;
    const second = await ask({ port: harness.port });
    assert.equal(second.status, 503);
    assert.equal(second.headers['x-envoy-overloaded'], 'true');
    assert.match(second.body, /reset reason: overflow$/);
    assert.deepEqual((await harness.nextRequest()).flags, ['UO']);
    go.resolve();
    assert.equal((await first).status, 200);
    await harness.nextRequest();
    assert.equal((await ask({ port: harness.port })).status, 200);
  });

  it('ejects an endpoint that fails, as outlierDetection says', async () => {
    await using bad = await startBackend((_request, response) => {
      response.statusCode = 500;
      response.end('bad');
    });
    await using good = await startBackend(echo('good'));
    await using harness = await startHarness({
      backends: [
        { name: 'bad', port: bad.port },
        { name: 'good', port: good.port },
      ],
      objects: [
        {
          kind: 'DestinationRule',
          spec: {
            host: 'reviews',
            trafficPolicy: {
              loadBalancer: { simple: 'ROUND_ROBIN' },
              outlierDetection: { consecutive5xxErrors: 2, maxEjectionPercent: 100 },
            },
          },
        },
      ],
    });
    const statuses: number[] = [];
    for (let index = 0; index < 12; index += 1) {
      statuses.push((await ask({ port: harness.port })).status);
    }
    assert.equal(statuses.filter((status) => status === 500).length, 2);
    assert.deepEqual(statuses.slice(-6), [200, 200, 200, 200, 200, 200]);
  });
});
