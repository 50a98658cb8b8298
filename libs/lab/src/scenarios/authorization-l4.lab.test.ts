/**
 * AuthorizationPolicy at the agents: every L4 field in every wildcard shape, for each action, for TCP and HTTP,
 * to the same node and another, by service and pod address. One world, one policy at a time.
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
import type { Caller } from './caller.ts';

const CALLERS = ['shop/client', 'rivals/rival'] as const;
type CallerName = (typeof CALLERS)[number];
type Action = 'ALLOW' | 'DENY' | 'AUDIT';

const WORLD = [
  namespaceYaml('shop'),
  namespaceYaml('rivals'),
  echoYaml({ name: 'far', node: 'node2', labels: { guarded: 'yes' } }),
  serviceYaml('far'),
  echoYaml({ name: 'near', node: 'node1', labels: { guarded: 'yes' } }),
  serviceYaml('near'),
  clientYaml({ name: 'client', node: 'node1' }),
  clientYaml({ name: 'rival', namespace: 'rivals', node: 'node2' }),
].join('');

const CLIENT = 'cluster.local/ns/shop/sa/client';

interface Case {
  readonly title: string;
  readonly rule: object;
  /** Who matches, on 8080 and on 9000. */
  readonly http: readonly CallerName[];
  readonly tcp: readonly CallerName[];
}

const from = (source: object): object => ({ from: [{ source }] });
const to = (operation: object): object => ({ to: [{ operation }] });
const when = (key: string, values: object): object => ({ when: [{ key, ...values }] });
const both = [...CALLERS];

/** The same callers on both ports. */
function who(title: string, rule: object, matching: readonly CallerName[]): Case {
  return { title, rule, http: matching, tcp: matching };
}

const CASES: readonly Case[] = [
  who('principals exact', from({ principals: [CLIENT] }), ['shop/client']),
  who('principals prefix', from({ principals: ['cluster.local/ns/shop/*'] }), ['shop/client']),
  who('principals suffix', from({ principals: ['*/sa/rival'] }), ['rivals/rival']),
  who('principals presence', from({ principals: ['*'] }), both),
  who('notPrincipals exact', from({ notPrincipals: [CLIENT] }), ['rivals/rival']),
  who('notPrincipals suffix', from({ notPrincipals: ['*/sa/rival'] }), ['shop/client']),
  who('namespaces exact', from({ namespaces: ['shop'] }), ['shop/client']),
  who('namespaces prefix', from({ namespaces: ['riv*'] }), ['rivals/rival']),
  who('namespaces suffix', from({ namespaces: ['*hop'] }), ['shop/client']),
  who('namespaces presence', from({ namespaces: ['*'] }), both),
  who('notNamespaces', from({ notNamespaces: ['shop'] }), ['rivals/rival']),
  who('serviceAccounts', from({ serviceAccounts: ['rivals/rival'] }), ['rivals/rival']),
  who('ipBlocks', from({ ipBlocks: ['10.241.1.0/24'] }), ['shop/client']),
  who('notIpBlocks', from({ notIpBlocks: ['10.241.1.0/24'] }), ['rivals/rival']),
  who(
    'two fields of a source are both needed',
    from({ namespaces: ['shop'], ipBlocks: ['10.241.2.0/24'] }),
    [],
  ),
  who('when source.principal', when('source.principal', { values: [CLIENT] }), ['shop/client']),
  who('when source.namespace, not', when('source.namespace', { notValues: ['shop'] }), [
    'rivals/rival',
  ]),
  who('when source.ip', when('source.ip', { values: ['10.241.2.0/24'] }), ['rivals/rival']),
  { title: 'ports', rule: to({ ports: ['8080'] }), http: both, tcp: [] },
  { title: 'notPorts', rule: to({ notPorts: ['8080'] }), http: [], tcp: both },
  {
    title: 'when destination.port',
    rule: when('destination.port', { values: ['9000'] }),
    http: [],
    tcp: both,
  },
  {
    title: 'from and to',
    rule: { ...from({ namespaces: ['shop'] }), ...to({ ports: ['9000'] }) },
    http: [],
    tcp: ['shop/client'],
  },
  who('an empty rule matches all', {}, both),
];

function policy(name: string, spec: object): string {
  return yaml({
    apiVersion: 'security.istio.io/v1',
    kind: 'AuthorizationPolicy',
    metadata: { name, namespace: 'shop' },
    spec,
  });
}

describe('AuthorizationPolicy of L4 fields', () => {
  let bed: Bed;
  const callers = new Map<CallerName, Caller>();
  const hosts: string[] = [];
  let last: string | undefined;
  before(async () => {
    bed = await makeBed(WORLD);
    for (const name of CALLERS) {
      callers.set(name, bed.caller(name));
    }
    for (const name of ['far', 'near']) {
      const service = bed.lab.status().services.find((one) => one.name === name);
      hosts.push(service?.addresses[0] ?? '', bed.lab.pod(`shop/${name}`).addresses[0] ?? '');
    }
  });
  after(async () => await bed[Symbol.asyncDispose]());

  /** Replaces the policy of the case before in one step, and waits until every agent has it. */
  const enforce = async (name: string, spec: object): Promise<void> => {
    bed.lab.apply(policy(name, spec));
    if (last !== undefined) {
      bed.lab.delete(`AuthorizationPolicy/shop/${last}`);
    }
    last = name;
    await inForce(bed.lab, `AuthorizationPolicy/shop/${name}`);
  };

  const check = async (title: string, allowed: Pick<Case, 'http' | 'tcp'>): Promise<void> => {
    const checks = [...callers].flatMap(([name, caller]) =>
      hosts.map(async (host, i) => {
        // Even ones are service addresses, with other port numbers than the pods.
        const port = i % 2 === 0 ? 80 : 8080;
        const [web, tcp] = await Promise.all([
          caller.http({ url: `http://${host}:${port}/` }),
          caller.tcp({ host, port: 9000, send: 'word' }),
        ]);
        const where = `${title}: ${name} to ${host}`;
        assert.equal(
          web.status === 200,
          allowed.http.includes(name),
          `${where}, HTTP: ${web.status} ${web.error}`,
        );
        assert.equal(
          tcp.received.startsWith('word'),
          allowed.tcp.includes(name),
          `${where}, TCP: ${JSON.stringify(tcp)}`,
        );
      }),
    );
    await Promise.all(checks);
  };

  const selector = { matchLabels: { guarded: 'yes' } };
  const except = (matching: readonly CallerName[]): CallerName[] =>
    CALLERS.filter((name) => !matching.includes(name));

  for (const [i, { title, rule, http, tcp }] of CASES.entries()) {
    for (const action of ['ALLOW', 'DENY'] as const satisfies readonly Action[]) {
      it(`${action} by ${title}`, async () => {
        await enforce(`case-${i}-${action.toLowerCase()}`, { selector, action, rules: [rule] });
        const allowed =
          action === 'ALLOW' ? { http, tcp } : { http: except(http), tcp: except(tcp) };
        await check(title, allowed);
      });
    }
  }

  it('AUDIT refuses nobody', async () => {
    await enforce('audit', { selector, action: 'AUDIT', rules: [from({ principals: [CLIENT] })] });
    await check('audit', { http: both, tcp: both });
  });

  it('an empty spec denies all', async () => {
    await enforce('nothing', {});
    await check('empty spec', { http: [], tcp: [] });
  });

  it('DENY beats ALLOW', async () => {
    bed.lab.apply(policy('all', { rules: [{}] }));
    await enforce('deny', { selector, action: 'DENY', rules: [from({ namespaces: ['rivals'] })] });
    await inForce(bed.lab, 'AuthorizationPolicy/shop/all');
    await check('DENY beats ALLOW', { http: ['shop/client'], tcp: ['shop/client'] });
    bed.lab.delete('AuthorizationPolicy/shop/all');
  });

  it('closes connections that a new policy forbids, and only those', async () => {
    await enforce('open', { rules: [{}] });
    const [client, rival] = CALLERS.map((name) => callers.get(name));
    assert.ok(client && rival);
    const [host = ''] = hosts;
    assert.equal((await client.hold('kept', host, 9000)).ok, true);
    assert.equal((await rival.hold('cut', host, 9000)).ok, true);
    assert.deepEqual(
      [await client.ping('kept'), await rival.ping('cut')],
      [{ ok: true }, { ok: true }],
    );
    await enforce('close', { selector, action: 'DENY', rules: [from({ namespaces: ['rivals'] })] });
    await bed.lab.waitFor(async () => !(await rival.ping('cut', 1_000)).ok, {
      what: 'the connection to be closed',
      timeoutMs: 5_000,
    });
    assert.deepEqual(await client.ping('kept'), { ok: true });
  });
});
