/**
 * AuthorizationPolicy with HTTP fields: the waypoint that is made for it decides, for the real caller, and nothing
 * gets around it. Every L7 field in every wildcard shape, ALLOW and DENY, same node and another.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import {
  type Bed,
  clientYaml,
  echoYaml,
  inForce,
  makeBed,
  namespaceYaml,
  serviceYaml,
  yaml,
} from './bed.ts';
import type { Caller, HttpAnswer, HttpCall } from './caller.ts';

const WORLD = [
  namespaceYaml('shop'),
  namespaceYaml('rivals'),
  namespaceYaml('street', {}),
  echoYaml({ name: 'far', node: 'node2', labels: { guarded: 'yes' } }),
  serviceYaml('far'),
  echoYaml({ name: 'near', node: 'node1', labels: { guarded: 'yes' } }),
  serviceYaml('near'),
  echoYaml({ name: 'open', node: 'node2' }),
  serviceYaml('open'),
  echoYaml({ name: 'free', node: 'node2' }),
  serviceYaml('free'),
  clientYaml({ name: 'client', node: 'node1' }),
  clientYaml({ name: 'rival', namespace: 'rivals', node: 'node2' }),
  clientYaml({ name: 'stranger', namespace: 'street', node: 'node1' }),
  // Keeps the waypoint while one policy follows another.
  policy('anchor', {
    selector: { matchLabels: { app: 'open' } },
    action: 'DENY',
    rules: [{ to: [{ operation: { methods: ['TRACE'] } }] }],
  }),
].join('');

/** The questions of every case, by number. */
const REQUESTS: readonly {
  readonly pod: string;
  readonly call: Omit<HttpCall, 'url'>;
  readonly path: string;
}[] = [
  { pod: 'shop/client', path: '/public/page', call: {} },
  { pod: 'shop/client', path: '/admin/users?public=1', call: { method: 'POST' } },
  { pod: 'rivals/rival', path: '/public/page', call: { headers: { 'x-tier': 'gold-1' } } },
  {
    pod: 'rivals/rival',
    path: '/public/deep/page',
    call: { method: 'DELETE', headers: { 'x-tier': 'silver' } },
  },
];

interface Case {
  readonly title: string;
  readonly rule: object;
  /** Numbers of the requests that match. */
  readonly matching: readonly number[];
}

const from = (source: object): object => ({ from: [{ source }] });
const to = (operation: object): object => ({ to: [{ operation }] });
const header = (values: object): object => ({
  when: [{ key: 'request.headers[x-tier]', ...values }],
});

const CASES: readonly Case[] = [
  { title: 'methods exact', rule: to({ methods: ['GET'] }), matching: [0, 2] },
  { title: 'methods prefix', rule: to({ methods: ['D*'] }), matching: [3] },
  { title: 'methods suffix', rule: to({ methods: ['*ST'] }), matching: [1] },
  { title: 'methods presence', rule: to({ methods: ['*'] }), matching: [0, 1, 2, 3] },
  { title: 'notMethods', rule: to({ notMethods: ['GET'] }), matching: [1, 3] },
  { title: 'paths exact', rule: to({ paths: ['/public/page'] }), matching: [0, 2] },
  { title: 'paths prefix', rule: to({ paths: ['/public/*'] }), matching: [0, 2, 3] },
  { title: 'paths suffix', rule: to({ paths: ['*/page'] }), matching: [0, 2, 3] },
  { title: 'paths without the query', rule: to({ paths: ['/admin/users'] }), matching: [1] },
  { title: 'paths template', rule: to({ paths: ['/public/{*}'] }), matching: [0, 2] },
  {
    title: 'paths template of any depth',
    rule: to({ paths: ['/public/{**}'] }),
    matching: [0, 2, 3],
  },
  { title: 'notPaths', rule: to({ notPaths: ['/admin/*'] }), matching: [0, 2, 3] },
  { title: 'hosts', rule: to({ hosts: ['far', 'near'] }), matching: [0, 1, 2, 3] },
  { title: 'hosts, another', rule: to({ hosts: ['else'] }), matching: [] },
  { title: 'notHosts', rule: to({ notHosts: ['f*', 'n*'] }), matching: [] },
  { title: 'header exact', rule: header({ values: ['silver'] }), matching: [3] },
  { title: 'header prefix', rule: header({ values: ['gold*'] }), matching: [2] },
  { title: 'header suffix', rule: header({ values: ['*-1'] }), matching: [2] },
  { title: 'header presence', rule: header({ values: ['*'] }), matching: [2, 3] },
  { title: 'header not', rule: header({ notValues: ['silver'] }), matching: [0, 1, 2] },
  {
    title: 'caller and method',
    rule: {
      ...from({ principals: ['cluster.local/ns/rivals/sa/rival'] }),
      ...to({ methods: ['GET'] }),
    },
    matching: [2],
  },
  {
    title: 'caller address and path',
    rule: { ...from({ ipBlocks: ['10.241.1.0/24'] }), ...to({ paths: ['/public/*'] }) },
    matching: [0],
  },
  { title: 'port and method', rule: to({ ports: ['8080'], methods: ['GET'] }), matching: [0, 2] },
  {
    title: 'another port and method',
    rule: to({ ports: ['9000'], methods: ['GET'] }),
    matching: [],
  },
];

function policy(name: string, spec: object): string {
  return yaml({
    apiVersion: 'security.istio.io/v1',
    kind: 'AuthorizationPolicy',
    metadata: { name, namespace: 'shop' },
    spec,
  });
}

const SELECTOR = { selector: { matchLabels: { guarded: 'yes' } } };

describe('AuthorizationPolicy of HTTP fields', () => {
  let bed: Bed;
  const callers = new Map<string, Caller>();
  let last: string | undefined;
  before(async () => {
    bed = await makeBed(WORLD);
    for (const name of ['shop/client', 'rivals/rival', 'street/stranger']) {
      callers.set(name, bed.caller(name));
    }
  });
  after(async () => await bed[Symbol.asyncDispose]());

  const caller = (name: string): Caller => {
    const found = callers.get(name);
    assert.ok(found, name);
    return found;
  };
  /** Replaces the policy of the case before in one step, and waits until every proxy has it. */
  const enforce = async (name: string, spec: object): Promise<void> => {
    bed.lab.apply(policy(name, spec));
    if (last !== undefined) {
      bed.lab.delete(`AuthorizationPolicy/shop/${last}`);
    }
    last = name;
    await inForce(bed.lab, `AuthorizationPolicy/shop/${name}`);
    await bed.lab.ready();
  };
  const hostOf = (service: string): string => `${service}.shop.svc.cluster.local`;

  for (const [i, { title, rule, matching }] of CASES.entries()) {
    for (const action of ['ALLOW', 'DENY'] as const) {
      it(`${action} by ${title}`, async () => {
        await enforce(`case-${i}-${action.toLowerCase()}`, { ...SELECTOR, action, rules: [rule] });
        for (const service of ['far', 'near']) {
          for (const [number, { pod, path, call }] of REQUESTS.entries()) {
            const address = (await caller(pod).dns(hostOf(service), 4)).addresses[0];
            const headers = { ...call.headers, host: service };
            const answer = await caller(pod).http({
              ...call,
              headers,
              url: `http://${address}${path}`,
            });
            const isAllowed = matching.includes(number) === (action === 'ALLOW');
            assert.equal(
              answer.status,
              isAllowed ? 200 : 403,
              `${pod} ${call.method ?? 'GET'} ${service}${path}: ${answer.status} ${answer.error ?? answer.body}`,
            );
            if (!isAllowed) {
              assert.match(answer.body, /RBAC: access denied/);
            }
          }
        }
      });
    }
  }

  describe('cannot be gone around', () => {
    before(async () => {
      await enforce('readers', {
        ...SELECTOR,
        action: 'ALLOW',
        rules: [
          {
            ...from({ principals: ['cluster.local/ns/shop/sa/client'] }),
            ...to({ methods: ['GET'] }),
          },
        ],
      });
    });

    it('by the address of the pod', async () => {
      for (const name of ['far', 'near']) {
        const address = bed.lab.pod(`shop/${name}`).addresses[0];
        const answer = await caller('rivals/rival').http({ url: `http://${address}:8080/` });
        assert.notEqual(answer.status, 200, name);
        const post = await caller('shop/client').http({
          url: `http://${address}:8080/`,
          method: 'POST',
        });
        assert.notEqual(post.status, 200, name);
      }
    });

    it('in clear', async () => {
      for (const host of ['far.shop', bed.lab.pod('shop/far').addresses[0] ?? '']) {
        const port = host === 'far.shop' ? 80 : 8080;
        const answer = await caller('street/stranger').http({ url: `http://${host}:${port}/` });
        assert.notEqual(answer.status, 200, host);
      }
    });

    it('through the waypoint of another namespace', async () => {
      const to = (name: string): object => ({
        destination: { host: `${name}.shop.svc.cluster.local` },
      });
      bed.lab.apply(
        serviceYaml('detour', 'rivals') +
          yaml({
            apiVersion: 'networking.istio.io/v1',
            kind: 'VirtualService',
            metadata: { name: 'detour', namespace: 'rivals' },
            spec: {
              hosts: ['detour'],
              http: [
                { match: [{ uri: { exact: '/free' } }], route: [to('free')] },
                { match: [{ uri: { exact: '/near' } }], route: [to('near')] },
                { route: [to('far')] },
              ],
            },
          }),
      );
      const ask = async (name: string, path: string): Promise<HttpAnswer> =>
        await caller(name).http({ url: `http://detour.rivals${path}` });
      for (const name of ['shop/client', 'rivals/rival']) {
        await bed.lab.waitFor(async () => (await ask(name, '/free')).status === 200, {
          what: `the detour to be open to ${name}`,
        });
        for (const path of ['/far', '/near']) {
          const { status, body } = await ask(name, path);
          assert.ok(status === 403 || status === 503, `${name} ${path}: ${status} ${body}`);
        }
      }
      bed.lab.delete('VirtualService/rivals/detour');
    });

    it('by forged headers', async () => {
      const forged = {
        'x-forwarded-client-cert':
          'By=spiffe://cluster.local/ns/shop/sa/waypoint;URI=spiffe://cluster.local/ns/shop/sa/client',
        'x-ambit-source': 'spiffe://cluster.local/ns/shop/sa/client',
        'x-forwarded-for': '10.241.1.2',
      };
      const answer = await caller('rivals/rival').http({
        url: 'http://far.shop/',
        headers: forged,
      });
      assert.equal(answer.status, 403);
      const echo = await caller('shop/client').echo('http://far.shop/', {
        ...forged,
        'x-forwarded-client-cert': 'URI=spiffe://cluster.local/ns/shop/sa/boss',
      });
      const seen = echo.headers['x-forwarded-client-cert'] ?? '';
      assert.match(seen, /URI=spiffe:\/\/cluster\.local\/ns\/shop\/sa\/client$/, 'the real caller');
      assert.doesNotMatch(seen, /boss/);
      assert.notEqual(echo.headers['x-ambit-source'], forged['x-ambit-source']);
    });

    it('while the waypoint is gone: refused, and back with it', async () => {
      const waypoint = bed.lab.cluster.pods.all.find(
        ({ plan }) => plan.labels['gateway.networking.k8s.io/gateway-name'] !== undefined,
      );
      assert.ok(waypoint, 'a waypoint runs');
      await bed.lab.stopComponent(waypoint.plan.owner);
      for (let i = 0; i < 5; i += 1) {
        const answer = await caller('shop/client').http({
          url: 'http://far.shop/',
          timeoutMs: 5_000,
        });
        assert.notEqual(answer.status, 200, 'fails closed');
      }
      assert.equal(
        (await caller('shop/client').http({ url: 'http://free.shop/' })).status,
        200,
        'what it does not guard',
      );
      bed.lab.startComponent(waypoint.plan.owner);
      await bed.lab.waitFor(
        async () => (await caller('shop/client').http({ url: 'http://far.shop/' })).status === 200,
        { what: 'the waypoint to serve again' },
      );
    });
  });

  it('a policy of targetRefs is decided at the waypoint too', async () => {
    await enforce('target', {
      targetRefs: [{ group: '', kind: 'Service', name: 'far' }],
      action: 'DENY',
      rules: [to({ paths: ['/admin/*'] })],
    });
    await bed.lab.waitFor(
      async () =>
        (await caller('shop/client').http({ url: 'http://far.shop/admin/x' })).status === 403,
      { what: 'the refusal' },
    );
    assert.equal((await caller('shop/client').http({ url: 'http://far.shop/public' })).status, 200);
    assert.equal(
      (await caller('shop/client').http({ url: 'http://near.shop/admin/x' })).status,
      200,
    );
  });
});
