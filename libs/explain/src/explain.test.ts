import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { endsOf, explain } from './explain.ts';
import { renderExplanation } from './render.ts';
import {
  besideSnapshotOf,
  bypassedSnapshotOf,
  GATEWAY,
  podYaml,
  SHOP,
  serviceYaml,
  snapshotOf,
  uncapturedSnapshotOf,
  WAYPOINT,
} from './testing.ts';
import type { ExplainQuery } from './types.ts';

const POLICY = `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: reviews, namespace: shop}
spec:
  selector: {matchLabels: {app: reviews}}
  rules:
  - from: [{source: {principals: [cluster.local/ns/shop/sa/client]}}]
    to: [{operation: {methods: [GET]}}]
`;
const ROUTES = `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews, namespace: shop}
spec:
  hosts: [reviews]
  http:
  - match: [{headers: {canary: {exact: "true"}}}]
    route: [{destination: {host: reviews, subset: v2}}]
  - match: [{uri: {exact: /old}}]
    redirect: {uri: /new}
  - match: [{uri: {exact: /teapot}}]
    directResponse: {status: 418}
  - match: [{uri: {prefix: /broken}}]
    route: [{destination: {host: reviews, subset: v9}}]
  - match: [{uri: {prefix: /}}]
    timeout: 2s
    fault: {delay: {percentage: {value: 10}, fixedDelay: 5s}}
    route:
    - {destination: {host: reviews, subset: v1}, weight: 80}
    - {destination: {host: reviews, subset: v2}, weight: 20}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: reviews, namespace: shop}
spec:
  host: reviews
  subsets:
  - {name: v1, labels: {version: v1}}
  - {name: v2, labels: {version: v2}}
  - {name: v9, labels: {version: v9}}
`;
const DENY = `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: deny, namespace: shop}
spec:
  action: DENY
  selector: {matchLabels: {app: reviews}}
  rules:
  - from: [{source: {namespaces: [shop]}}]
    to: [{operation: {ports: ["8080"]}}]
`;
const HOSTS = `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: hosts, namespace: shop}
spec:
  action: DENY
  selector: {matchLabels: {app: reviews}}
  rules:
  - to: [{operation: {hosts: [internal.example]}}]
  - when: [{key: 'request.headers[x-name]', values: [é]}]
  - when: [{key: 'request.headers[host]', values: [forbidden]}]
  - when: [{key: 'request.headers[upgrade]', values: [websocket]}]
  - when: [{key: 'request.headers[x-hop]', values: ['*']}]
`;
const STRICT = `
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: shop}
spec: {mtls: {mode: STRICT}}
`;

const plain = snapshotOf(SHOP);
const denied = snapshotOf(SHOP, DENY);
const strict = snapshotOf(SHOP, STRICT);
const guarded = snapshotOf(SHOP, WAYPOINT, GATEWAY, POLICY, ROUTES);
const hosts = snapshotOf(SHOP, WAYPOINT, GATEWAY, HOSTS);
const waiting = snapshotOf(SHOP, GATEWAY, POLICY);

type Mesh = typeof plain;

function ask(mesh: Mesh, query: Partial<ExplainQuery> = {}) {
  return explain({ source: 'client', destination: 'reviews', namespace: 'shop', ...query }, mesh);
}

/** Verdict, and for every end its status, flag and the keys of the objects responsible. */
function sumOf(mesh: Mesh, query: Partial<ExplainQuery>): string {
  const explanation = ask(mesh, query);
  const ends = endsOf(explanation.hop).map(({ outcome, status, flag, objects }) =>
    [outcome, status, flag, ...objects.map(({ key, path }) => (path ? `${key} ${path}` : key))]
      .filter((part) => part !== undefined)
      .join(' '),
  );
  return `${explanation.verdict}: ${ends.join(' | ')}`;
}

describe('explain', () => {
  const cases: readonly [string, Mesh, Partial<ExplainQuery>, string][] = [
    ['a service', plain, {}, 'allowed: arrives'],
    ['a pod address', plain, { destination: '10.0.0.11', port: 8080 }, 'allowed: arrives'],
    [
      'a client that is not captured',
      plain,
      { source: 'old/legacy', destination: 'reviews.shop' },
      'allowed: arrives',
    ],
    ['an unknown name', plain, { destination: 'example.org', port: 443 }, 'allowed: arrives'],
    [
      'a pod that is not captured',
      plain,
      { destination: 'old/legacy', port: 80 },
      'allowed: arrives',
    ],
    ['a port that the service lacks', plain, { port: 81 }, 'refused: refused'],
    ['a DENY', denied, {}, 'refused: refused AuthorizationPolicy/shop/deny spec.rules[0]'],
    ['a DENY that is for others', denied, { source: 'outside' }, 'allowed: arrives'],
    ['STRICT for a meshed client', strict, {}, 'allowed: arrives'],
    ['STRICT for plaintext', strict, { source: 'outside' }, 'refused: refused'],
    ['shares', guarded, { method: 'GET', path: '/x' }, 'allowed: arrives | arrives'],
    ['a header', guarded, { method: 'GET', headers: { Canary: 'true' } }, 'allowed: arrives'],
    ['a redirect', guarded, { path: '/old' }, 'allowed: answered 301'],
    ['a direct response', guarded, { path: '/teapot' }, 'allowed: answered 418'],
    ['a subset without endpoint', guarded, { path: '/broken' }, 'refused: refused 503 UH'],
    [
      'a method that policy does not allow',
      guarded,
      { method: 'POST' },
      'refused: refused 403 AuthorizationPolicy/shop/reviews',
    ],
    [
      'the same by pod address',
      guarded,
      { method: 'POST', destination: 'reviews-v1', port: 8080 },
      'refused: refused 403 AuthorizationPolicy/shop/reviews',
    ],
    [
      'plaintext around the waypoint',
      guarded,
      { source: 'outside' },
      'refused: refused AuthorizationPolicy/shop/reviews',
    ],
    [
      'a waypoint that is not there',
      waiting,
      {},
      'refused: refused AuthorizationPolicy/shop/reviews Gateway/shop/waypoint',
    ],
  ];
  for (const [title, mesh, query, expected] of cases) {
    it(`${title}: ${expected}`, () => assert.equal(sumOf(mesh, query), expected));
  }

  it('reads hosts and bytes as the waypoint does', () => {
    for (const [headers, verdict] of [
      [{ host: 'internal.example' }, 'refused'],
      [{ host: 'Internal.example:81' }, 'refused'],
      [{ host: 'internal.example.' }, 'refused'],
      [{ host: 'internal.example.com' }, 'allowed'],
      [{ 'x-name': 'é' }, 'refused'],
      [{ 'x-name': 'e' }, 'allowed'],
      [{ host: 'forbidden' }, 'refused'],
      [{ Upgrade: 'WebSocket', connection: 'upgrade' }, 'refused'],
      [{ upgrade: 'websocket' }, 'allowed'],
      [{ upgrade: 'h2c', connection: 'upgrade' }, 'allowed'],
      [{ 'x-hop': 'a' }, 'refused'],
      [{ 'x-hop': 'a', connection: 'x-hop' }, 'allowed'],
    ] as const) {
      assert.equal(ask(hosts, { headers }).verdict, verdict, JSON.stringify(headers));
    }
  });

  it('asks nothing of a host that a waypoint refuses', () => {
    for (const host of ['', 'a..b', 'a:080', '10.0.0.01', '0x0a.0.0.1', '167772161', 'é']) {
      assert.throws(() => ask(hosts, { headers: { host } }), { code: 'EXPLAIN_BAD_HOST' }, host);
    }
  });

  it('depends where endpoints have policies of their own', () => {
    const mesh = snapshotOf(SHOP, DENY.replace('{app: reviews}', '{app: reviews, version: v2}'));
    assert.equal(
      sumOf(mesh, {}),
      'depends: arrives | refused AuthorizationPolicy/shop/deny spec.rules[0]',
    );
  });

  it('asks policy again about an endpoint of another service', () => {
    const ratings = podYaml('ratings-1', '10.0.0.31') + serviceYaml('ratings', '10.96.0.3');
    const toRatings = ROUTES.replace(
      / {2}- match[\s\S]*?---/,
      '  - route: [{destination: {host: ratings}}]\n---',
    );
    const onRatings = DENY.replace('{app: reviews}', '{app: ratings}').replace(
      'ports: ["8080"]',
      'methods: [GET]',
    );
    const mesh = snapshotOf(SHOP, WAYPOINT, GATEWAY, POLICY, toRatings, ratings, onRatings);
    assert.equal(
      sumOf(mesh, { method: 'GET' }),
      'refused: refused 403 AuthorizationPolicy/shop/deny spec.rules[0]',
    );
  });

  it('says where a waypoint of another mesh is judged in place of the caller', () => {
    const moved = '{app: reviews, istio.io/rev: ambit, istio.io/dataplane-mode: ambient}';
    const client = podYaml('client-1', '10.0.0.1', { labels: moved.replace('reviews', 'client') });
    const pod = podYaml('reviews-1', '10.0.0.11', { labels: moved });
    const of = (labels: string) =>
      besideSnapshotOf(
        `
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {istio.io/use-waypoint: waypoint${labels}}}
`,
        GATEWAY.slice(0, GATEWAY.indexOf('---')),
        WAYPOINT,
        `${client}${pod}${serviceYaml('reviews', '10.96.0.1')}`,
        DENY.replace('ports: ["8080"]', 'ports: ["81"]'),
      );
    const from = { source: 'shop/client-1', destination: 'reviews' };
    assert.match(JSON.stringify(explain(from, of('')).hop), /the caller here is the waypoint/);
    const ours = JSON.stringify(explain(from, of(', istio.io/rev: ambit')).hop);
    assert.match(ours, /decided by the waypoint, for the real caller/);
    assert.doesNotMatch(ours, /the caller here is the waypoint/);
  });

  // It was said to be protected by its policies, and plaintext to it was not refused.
  it('does not take an enrolled pod for captured that nobody told its agent of', () => {
    const asking = { source: 'old/legacy', destination: 'reviews.shop', port: 80 };
    const { verdict, hop } = explain(asking, uncapturedSnapshotOf(SHOP, DENY));
    const text = JSON.stringify(hop);
    assert.equal(verdict, 'allowed');
    assert.match(
      text,
      /it is enrolled, but no agent has captured it yet: nothing is encrypted, no/,
    );
    const from = { source: 'shop/client-1', destination: 'reviews' };
    const asked = JSON.stringify(explain(from, uncapturedSnapshotOf(SHOP, DENY)).hop);
    assert.match(asked, /enrolled, but no agent has captured it yet/);
  });

  it('follows a request into a waypoint that is found by its address', () => {
    const external = GATEWAY.replace(
      '  listeners:',
      '  addresses: [{type: IPAddress, value: 10.0.0.9}]\n  listeners:',
    );
    const labels = '{app: proxy, istio.io/dataplane-mode: none}';
    const alone = podYaml('proxy-0', '10.0.0.9', { account: 'waypoint', labels });
    const mesh = snapshotOf(SHOP, alone, external, POLICY);
    const asking = { source: 'shop/client-1', destination: 'reviews', method: 'GET', path: '/' };
    const text = JSON.stringify(explain(asking, mesh).hop);
    assert.match(text, /"title":"waypoint shop\/waypoint"/);
    assert.doesNotMatch(text, /does not say which waypoint/);
  });

  it('says why a client is not captured', () => {
    const ask = { source: 'old/legacy', destination: 'reviews.shop' };
    const text = renderExplanation(explain(ask, plain));
    assert.match(text, /namespace old is not enrolled/);
  });

  it('says who let the namespace of a client out of the mesh, and why', () => {
    const annotations = Object.entries({
      until: '2026-01-31T12:10:00Z',
      since: '2026-01-31T12:00:00Z',
      by: 'ada',
      reason: 'the CA is down',
    }).map(([key, value]) => `ambit.io/bypass-${key}: "${value}"`);
    const opened = `
apiVersion: v1
kind: Namespace
metadata:
  name: broken
  labels: {istio.io/dataplane-mode: ambient}
  annotations: {${annotations.join(', ')}}
`;
    const caller = podYaml('caller', '10.0.0.8', { namespace: 'broken' });
    const mesh = bypassedSnapshotOf('broken', SHOP, opened, caller);
    const question = { source: 'broken/caller', destination: 'reviews.shop' };
    const text = renderExplanation(explain(question, mesh));
    assert.match(
      text,
      /namespace broken is bypassed, out of the mesh until .*, by ada: the CA is down/,
    );
  });

  it('says which clause of which rule did not hold', () => {
    const text = renderExplanation(ask(guarded, { method: 'POST' }));
    assert.match(
      text,
      /rule 0 of shop\/reviews fails at to \(phase authorise\) {2}\[AuthorizationPolicy\/shop\/reviews spec\.rules\[0\]\]/,
    );
  });

  it('reaches headless services by pod address', () => {
    const headless = serviceYaml('headless', 'None').replaceAll('app: headless', 'app: reviews');
    assert.equal(
      sumOf(snapshotOf(SHOP, headless), { destination: 'headless', port: 8080 }),
      'allowed: arrives',
    );
  });

  it('finds sources by pod, account, address and namespace', () => {
    for (const source of ['client-2', 'shop/client-2', 'client', '10.0.0.1']) {
      assert.equal(ask(plain, { source }).verdict, 'allowed', source);
    }
  });

  for (const [title, query, error] of [
    ['an unknown source', { source: 'nobody' }, /source "nobody".*namespace "shop"/],
    ['an unknown destination', { destination: 'nobody' }, /destination "nobody"/],
    ['a destination of another namespace', { source: 'old/legacy' }, /write reviews\.shop$/],
    ['a pod without port', { destination: 'reviews-v1' }, /needs a port/],
    ['a path that is refused anyway', { path: '/%00' }, /refused with 400/],
  ] as const) {
    it(`refuses ${title}`, () => assert.throws(() => ask(plain, query), error));
  }

  it('finds a source without a namespace where only one has it', () => {
    const explanation = explain({ source: 'client', destination: 'reviews' }, plain);
    assert.equal(explanation.source, 'shop/client-1');
  });

  it('survives JSON', () => {
    const explanation = ask(guarded, { path: '/x' });
    assert.deepEqual(JSON.parse(JSON.stringify(explanation)), explanation);
  });

  it('folds hundreds of equal endpoints into one branch', () => {
    const pods = Array.from({ length: 300 }, (_, index) =>
      podYaml(`reviews-x${index}`, `10.1.${index >> 8}.${index & 255}`),
    );
    const explanation = ask(snapshotOf(SHOP, ...pods));
    assert.equal(explanation.hop.next[0]?.label, 'any of 302 endpoints, such as');
  });
});

describe('renderExplanation', () => {
  it('is a tree of hops, each with what decided', () => {
    const text = renderExplanation(ask(guarded, { method: 'GET', path: '/x' }));
    assert.equal(text, GOLDEN);
  });
});

const GOLDEN = `shop/client-1 → reviews.shop.svc.cluster.local:80
shop/client-1 on n1
  · captured by the agent; service account shop/client (and 1 more like it)
  · reviews.shop.svc.cluster.local is service shop/reviews (10.96.0.1), port 80
  · 10.96.0.1:80: tunnel to its waypoint at 10.0.0.9:15008, which must be spiffe://cluster.local/ns/shop/sa/waypoint
  waypoint shop/waypoint
    · tunnel for 10.96.0.1:80 from spiffe://cluster.local/ns/shop/sa/client (phase accept)
    · caller: spiffe://cluster.local/ns/shop/sa/client, whatever the request says of it (phase authenticate)
    ✓ policy: allowed by AuthorizationPolicy shop/reviews rule 0 (from, to) (phase authorise)  [AuthorizationPolicy/shop/reviews spec.rules[0]]
    · route: rule matches: path prefix "/" (phase route)  [VirtualService/shop/reviews spec.http[4].match[0]]
    · fault: 10 % wait 5 s (phase fault)  [VirtualService/shop/reviews spec.http[4].match[0]]
    80 %
      reviews.shop.svc.cluster.local:80 subset v1
        · subset v1: version=v1 (phase forward)  [DestinationRule/shop/reviews]
        · LEAST_REQUEST, timeout 2 s, 2 retries on connect-failure, refused-stream, unavailable, cancelled (phase forward)
        agent of shop/reviews-v1 on n1
          · tunnel to 10.0.0.11:8080 from spiffe://cluster.local/ns/shop/sa/waypoint
          ✓ policy: decided by the waypoint, for the real caller
          → reaches 10.0.0.11:8080, called by spiffe://cluster.local/ns/shop/sa/client
    20 %
      reviews.shop.svc.cluster.local:80 subset v2
        · subset v2: version=v2 (phase forward)  [DestinationRule/shop/reviews]
        · LEAST_REQUEST, timeout 2 s, 2 retries on connect-failure, refused-stream, unavailable, cancelled (phase forward)
        agent of shop/reviews-v2 on n1
          · tunnel to 10.0.0.12:8080 from spiffe://cluster.local/ns/shop/sa/waypoint
          ✓ policy: decided by the waypoint, for the real caller
          → reaches 10.0.0.12:8080, called by spiffe://cluster.local/ns/shop/sa/client

allowed: reaches 10.0.0.11:8080, called by spiffe://cluster.local/ns/shop/sa/client
`;
