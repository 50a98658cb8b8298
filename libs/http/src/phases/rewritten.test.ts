/** What a route of another namespace makes of a request is judged by the policies of whom it goes to; what one's own route makes, is not. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { REFUSAL_ANSWER } from '@ambit/policy';
import { type Ask, ask } from '../fixtures/client.ts';
import {
  type Backend,
  type FakeBackend,
  type Harness,
  PORT,
  startBackend,
  startHarness,
} from '../fixtures/harness.ts';

type Spec = Readonly<Record<string, unknown>>;
type Parts = Omit<Ask, 'port'>;

const PUBLIC: Spec = { rules: [{ to: [{ operation: { paths: ['/public/*'] } }] }] };
const HOST = 'reviews.shop.svc.cluster.local';

const fullPath = (value: string): Spec => ({
  type: 'URLRewrite',
  urlRewrite: { path: { type: 'ReplaceFullPath', replaceFullPath: value } },
});
const prefix = (value: string): Spec => ({
  type: 'URLRewrite',
  urlRewrite: { path: { type: 'ReplacePrefixMatch', replacePrefixMatch: value } },
});
const hostname = (value: string): Spec => ({ type: 'URLRewrite', urlRewrite: { hostname: value } });
const headers = (operations: Spec): Spec => ({
  type: 'RequestHeaderModifier',
  requestHeaderModifier: operations,
});
const set = (name: string, value: string): Spec => headers({ set: [{ name, value }] });

/** Of the namespace, to `reviews` of `shop`. */
function routeOf(namespace: string, filters: readonly Spec[], backend: Spec = {}, rule: Spec = {}) {
  const reviews = { name: 'reviews', namespace: 'shop', port: PORT };
  return {
    kind: 'HTTPRoute',
    metadata: { name: 'r', namespace },
    spec: {
      parentRefs: [{ group: '', kind: 'Service', ...reviews }],
      rules: [
        {
          matches: [{ path: { type: 'PathPrefix', value: '/public' } }],
          filters,
          backendRefs: [{ ...reviews, ...backend }],
          ...rule,
        },
      ],
    },
  };
}

const policyOf = (namespace: string, spec: Spec): Record<string, unknown> => ({
  kind: 'AuthorizationPolicy',
  metadata: { name: 'p', namespace },
  spec,
});
const denied = (key: string, values: readonly string[]): Spec => ({
  action: 'DENY',
  rules: [{ when: [{ key, values }] }],
});
const allowed = (key: string, values: readonly string[]): Spec => ({
  rules: [{ when: [{ key, values }] }],
});

/** Notes what it was asked for. */
function startEcho(seen: string[]): Promise<Backend> {
  return startBackend((request, response) => {
    seen.push(`${request.headers.host} ${request.url}`);
    response.end();
  });
}

/** A caller of `other`, before one backend of `shop`; what it is told, and what the backend was asked for. */
async function outcome(
  objects: readonly Record<string, unknown>[],
  parts: Parts = {},
  backend: Partial<FakeBackend> = {},
): Promise<{ readonly status: number; readonly seen: readonly string[]; readonly why: string }> {
  const seen: string[] = [];
  await using echo = await startEcho(seen);
  await using harness = await startHarness({
    backends: [{ name: 'v1', port: echo.port, ...backend }],
    objects,
    callerNamespace: 'other',
  });
  const { status } = await ask({ port: harness.port, path: '/public/a', ...parts });
  const { error } = await harness.nextRequest();
  return { status, seen, why: error?.message ?? '' };
}

const AROUND: readonly {
  readonly by: string;
  readonly filters: readonly Spec[];
  readonly policy: Spec;
  readonly backend?: Spec;
  readonly asked?: Parts;
}[] = [
  { by: 'its whole path', filters: [fullPath('/admin')], policy: PUBLIC },
  { by: 'its path and a query', filters: [fullPath('/admin?/public/')], policy: PUBLIC },
  { by: 'the begin of its path', filters: [prefix('/admin')], policy: PUBLIC },
  {
    by: 'its host',
    filters: [hostname('admin.example')],
    policy: { action: 'DENY', rules: [{ to: [{ operation: { hosts: ['admin.example'] } }] }] },
  },
  {
    by: 'a header that it sets',
    filters: [set('x-admin', '1')],
    policy: denied('request.headers[x-admin]', ['*']),
  },
  {
    by: 'a header that a share of it sets',
    filters: [],
    backend: { filters: [set('x-admin', '1')] },
    policy: denied('request.headers[x-admin]', ['*']),
  },
  {
    by: 'a header that it sets to what the client sent in another',
    filters: [set('x-user', '%REQ(x-claimed)%')],
    policy: denied('request.headers[x-user]', ['root']),
    asked: { headers: { 'x-claimed': 'root' } },
  },
  {
    by: 'a value that it adds',
    filters: [headers({ add: [{ name: 'x-tier', value: 'paid' }] })],
    policy: allowed('request.headers[x-tier]', ['free']),
    asked: { headers: { 'x-tier': 'free' } },
  },
  {
    by: 'a header that it takes out',
    filters: [headers({ remove: ['x-tier'] })],
    policy: allowed('request.headers[x-tier]', ['free']),
    asked: { headers: { 'x-tier': 'free' } },
  },
];

describe('what a route makes of a request', () => {
  for (const { by, filters, policy, backend, asked } of AROUND) {
    it(`gets around no policy of another namespace by ${by}`, async () => {
      const policies = [policyOf('shop', policy)];
      const without = await outcome([...policies, routeOf('other', [])], asked);
      assert.equal(without.status, 200, 'the request itself is allowed');
      const objects = [...policies, routeOf('other', filters, backend)];
      const { status, seen, why } = await outcome(objects, asked);
      assert.deepEqual({ status, seen }, { status: REFUSAL_ANSWER.status, seen: [] });
      assert.match(why, /shop\/p.*, of what HTTPRoute\/other\/r sends$/);
    });

    it(`is no matter of policies of its own namespace: ${by}`, async () => {
      const objects = [policyOf('shop', policy), routeOf('shop', filters, backend)];
      assert.equal((await outcome(objects, asked)).status, 200);
    });
  }

  it('is refused where it cannot be judged, as servers read it in more than one way', async () => {
    for (const path of ['/public/%2e%2e/admin', '/public/..\\admin', '/public/%zz']) {
      const judged = [policyOf('shop', PUBLIC), routeOf('other', [fullPath(path)])];
      const { status, seen } = await outcome(judged);
      assert.deepEqual({ status, seen }, { status: 400, seen: [] }, path);
    }
  });

  for (const [what, filters, policy, url] of [
    ['another path that is allowed', [fullPath('/public/b')], PUBLIC, '/public/b'],
    ['escapes in small letters', [fullPath('/public/caf%c3%a9')], PUBLIC, '/public/caf%c3%a9'],
    ['a header that nobody asks for', [set('x-a', '1')], PUBLIC, '/public/a'],
    [
      'a header, while policy forbids one that the waypoint itself adds',
      [set('x-a', '1')],
      denied('request.headers[x-forwarded-for]', ['*']),
      '/public/a',
    ],
  ] as const) {
    it(`passes where policy allows it: ${what}`, async () => {
      const objects = [policyOf('shop', policy), routeOf('other', filters)];
      const { status, seen } = await outcome(objects);
      assert.deepEqual({ status, seen }, { status: 200, seen: [`reviews ${url}`] });
    });
  }
});

describe('a VirtualService at a waypoint that namespaces share', () => {
  const virtualService = (namespace: string, http: Spec) => ({
    kind: 'VirtualService',
    metadata: { name: 'v', namespace },
    spec: { hosts: [HOST], http: [{ route: [{ destination: { host: HOST } }], ...http }] },
  });

  for (const [by, http, policy] of [
    ['its path', { rewrite: { uri: '/admin' } }, PUBLIC],
    [
      'its host',
      { rewrite: { authority: 'admin.example' } },
      { action: 'DENY', rules: [{ to: [{ operation: { hosts: ['admin.example'] } }] }] },
    ],
    [
      'a header',
      { headers: { request: { set: { 'x-admin': '1' } } } },
      denied('request.headers[x-admin]', ['*']),
    ],
  ] as const) {
    it(`gets around no policy of another namespace by ${by}`, async () => {
      const objects = [policyOf('shop', policy), virtualService('infra', http)];
      const { status, seen, why } = await outcome(objects);
      assert.deepEqual({ status, seen }, { status: 403, seen: [] });
      assert.match(why, /, of what VirtualService\/infra\/v sends$/);
      const own = [policyOf('shop', policy), virtualService('shop', http)];
      assert.equal((await outcome(own)).status, 200, 'that of the service’s own namespace does');
    });
  }

  it('of a service meets the policies of whom it leads to, and not again its own', async () => {
    const object = virtualService('shop', { rewrite: { uri: '/admin' } });
    const lead = (namespace: string) =>
      outcome([policyOf(namespace, PUBLIC), object], {}, { namespace: 'bank' });
    assert.equal((await lead('bank')).status, 403);
    assert.equal((await lead('shop')).status, 200);
  });
});

describe('what a route of another namespace makes of a request', () => {
  it('is judged for each try', async () => {
    const seen: string[] = [];
    await using echo = await startEcho(seen);
    const gone = await startEcho([]);
    await gone[Symbol.asyncDispose]();
    await using harness = await startHarness({
      backends: [
        { name: 'own', namespace: 'other', port: gone.port },
        { name: 'v1', port: echo.port },
      ],
      objects: [
        policyOf('shop', PUBLIC),
        routeOf('other', [fullPath('/admin')], {}, { retry: { attempts: 1, backoff: '1ms' } }),
      ],
      callerNamespace: 'other',
    });
    let tries = 0;
    for (let count = 0; count < 8; count += 1) {
      assert.equal((await ask({ port: harness.port, path: '/public/a' })).status, 403);
      tries += (await harness.nextRequest()).attempts;
    }
    assert.deepEqual(seen, []);
    assert.ok(tries > 8, 'some began at the other endpoint');
  });

  it('is judged for copies', async () => {
    const mirror = {
      type: 'RequestMirror',
      requestMirror: { backendRef: { name: 'copy', namespace: 'shop', port: PORT } },
    };
    const copies = async (namespace: string): Promise<readonly string[]> => {
      const seen: string[] = [];
      await using main = await startEcho([]);
      await using copy = await startEcho(seen);
      const operation = { paths: ['/admin'], ports: [String(copy.port)] };
      await using harness = await startHarness({
        backends: [
          { name: 'v1', port: main.port },
          { name: 'copy', port: copy.port, service: 'copy' },
        ],
        objects: [
          policyOf('shop', { action: 'DENY', rules: [{ to: [{ operation }] }] }),
          routeOf(namespace, [mirror, fullPath('/admin')]),
        ],
        callerNamespace: 'other',
      });
      const { status } = await ask({ port: harness.port, path: '/public/a' });
      assert.equal(status, 200, 'the request itself goes on');
      while (harness.engine.counters.mirrorsActive > 0) {
        await new Promise((resolve) => setImmediate(resolve));
      }
      return seen;
    };
    assert.deepEqual(await copies('other'), []);
    assert.deepEqual(await copies('shop'), ['reviews-shadow /admin']);
  });

  for (const [namespace, status] of [
    ['other', 403],
    ['shop', 200],
  ] as const) {
    it(`is judged again when policies change: ${status} by a route of ${namespace}`, async () => {
      const arrived = Promise.withResolvers<() => void>();
      await using slow = await startBackend((_request, response) =>
        arrived.resolve(() => response.end()),
      );
      await using harness = await startHarness({
        backends: [{ name: 'v1', port: slow.port }],
        objects: [routeOf(namespace, [fullPath('/admin')])],
        callerNamespace: 'other',
      });
      const answer = ask({ port: harness.port, path: '/public/a' });
      const end = await arrived.promise;
      assert.equal(harness.engine.recheck(), 0);
      harness.plane.policies = await policiesOf(PUBLIC);
      assert.equal(harness.engine.recheck(), status === 403 ? 1 : 0);
      end();
      assert.equal((await answer).status, status);
    });
  }
});

async function policiesOf(spec: Spec): Promise<Harness['plane']['policies']> {
  await using harness = await startHarness({ backends: [], objects: [policyOf('shop', spec)] });
  return harness.plane.policies;
}
