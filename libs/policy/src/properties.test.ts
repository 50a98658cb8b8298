/**
 * What must hold for every policy: the evaluator agrees with a slow one that was written from the text of
 * the API with regular expressions and sets; a not-form is a complement; more DENY never allows more, more ALLOW never less
 * once there is one; what an agent gets decides as the full policy does at a TCP point.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { evaluate } from './evaluate.ts';
import { request as makeRequest } from './fixtures/objects.ts';
import { l4Only } from './l4-only.ts';
import { EMPTY_L4, EMPTY_L7 } from './match-shapes.ts';
import type {
  Cidr,
  CompiledPolicy,
  ConnectionAttributes,
  L4Match,
  L7Match,
  Match,
  PathPattern,
  PolicyInput,
  RequestAttributes,
} from './types.ts';

const word = fc.constantFrom('', 'a', 'ab', 'b', 'a/b', '/a', '/a/b', 'A');
const pattern = fc.oneof(
  fc.record({ kind: fc.constantFrom('exact', 'prefix', 'suffix'), value: word }),
  fc.constant({ kind: 'presence' as const }),
);
const host = fc.oneof(
  pattern,
  fc.record({
    kind: fc.constantFrom('exact', 'prefix', 'suffix'),
    value: fc.constantFrom('a:80', 'a:2', 'ab:1'),
  }),
);
const path = fc.oneof(
  pattern,
  fc.record({
    kind: fc.constant('template' as const),
    value: fc.constantFrom('/{*}', '/a/{**}', '/{*}/b'),
  }),
);
const list = <T>(item: fc.Arbitrary<T>): fc.Arbitrary<readonly T[]> =>
  fc.oneof(
    { weight: 4, arbitrary: fc.constant([]) },
    { weight: 2, arbitrary: fc.array(item, { maxLength: 10 }) },
  );
const octets = fc.constantFrom(
  [10, 0, 0, 1],
  [10, 0, 0, 2],
  [10, 128, 0, 1],
  [0x20, 1, ...new Array<number>(14).fill(0)],
);
const address = octets.map((bytes) => Uint8Array.from(bytes));
const cidr = fc.record({ address, length: fc.constantFrom(0, 8, 9, 31, 32) });
const port = fc.constantFrom(1, 2, 3);
const account = fc.record({ namespace: word, name: word });
const headers = list(
  fc.record({
    name: fc.constantFrom('x', 'y'),
    values: fc.array(pattern, { minLength: 1, maxLength: 3 }),
  }),
);

const l4Match: fc.Arbitrary<L4Match> = fc.record({
  namespaces: list(pattern),
  notNamespaces: list(pattern),
  principals: list(pattern),
  notPrincipals: list(pattern),
  serviceAccounts: list(account),
  notServiceAccounts: list(account),
  trustDomains: list(pattern),
  notTrustDomains: list(pattern),
  sourceIps: list(cidr),
  notSourceIps: list(cidr),
  destinationIps: list(cidr),
  notDestinationIps: list(cidr),
  destinationPorts: list(port),
  notDestinationPorts: list(port),
});
const l7Match: fc.Arbitrary<L7Match> = fc.record({
  hosts: list(host),
  notHosts: list(host),
  methods: list(pattern),
  notMethods: list(pattern),
  paths: list(path),
  notPaths: list(path),
  headers,
  notHeaders: headers,
  undecidable: fc.oneof(
    { weight: 6, arbitrary: fc.constant([]) },
    { weight: 1, arbitrary: fc.constant(['remote.ip']) },
  ),
});
const sparse = fc
  .constantFrom(...(Object.keys(EMPTY_L4) as (keyof L4Match)[]))
  .chain((key) => l4Match.map((full) => ({ ...EMPTY_L4, [key]: full[key] })));
const match: fc.Arbitrary<Match> = fc.oneof(
  fc.record({ l4: fc.oneof(sparse, l4Match, fc.constant(EMPTY_L4)) }),
  fc.record({
    l4: fc.oneof(sparse, fc.constant(EMPTY_L4)),
    l7: fc.oneof(l7Match, fc.constant(EMPTY_L7)),
  }),
);
const rules = fc.array(
  fc.record({
    clauses: fc.array(
      fc.record({ matches: fc.array(match, { maxLength: 3 }), origin: fc.constant('from') }),
      { maxLength: 3 },
    ),
  }),
  { maxLength: 3 },
);
const policy: fc.Arbitrary<CompiledPolicy> = fc.record({
  name: fc.constantFrom('p', 'q'),
  namespace: fc.constant('shop'),
  scope: fc.constant('NAMESPACE' as const),
  action: fc.constantFrom('ALLOW', 'DENY', 'AUDIT'),
  dryRun: fc.oneof(
    { weight: 5, arbitrary: fc.constant(false) },
    { weight: 1, arbitrary: fc.constant(true) },
  ),
  rules,
});
const identity = fc.record({ trustDomain: word, namespace: word, serviceAccount: word });
const place = {
  sourceIp: address,
  destinationIp: fc.option(address, { nil: undefined }),
  destinationPort: port,
};
const connection: fc.Arbitrary<ConnectionAttributes> = fc.oneof(
  fc.record({ ...place, source: identity }),
  fc.record({ ...place, source: identity, askedPort: fc.constantFrom(1, 2, 80) }),
  fc.record(place),
);
const request: fc.Arbitrary<RequestAttributes> = fc
  .record({
    host: fc
      .tuple(word, fc.constantFrom('', '.', ':80', '.:80', ':1', ':2', ':9'))
      .map((parts) => parts.join('')),
    method: word,
    path: word,
    headers: fc.dictionary(fc.constantFrom('x', 'y'), word),
  })
  .map(makeRequest);
const input: fc.Arbitrary<PolicyInput> = fc.oneof(
  fc.record({ connection }),
  fc.record({ connection, request }),
);

// The slow evaluator. Each kind yields true, false, or undefined for "this list says nothing".

function toRegExp(item: PathPattern): RegExp {
  const quote = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  switch (item.kind) {
    case 'presence':
      return /^[\s\S]+$/;
    case 'prefix':
      return new RegExp(`^${quote(item.value)}[\\s\\S]*$`);
    case 'suffix':
      return new RegExp(`^[\\s\\S]*${quote(item.value)}$`);
    case 'exact':
      return new RegExp(`^${quote(item.value)}$`);
    case 'template':
      return new RegExp(
        `^${item.value
          .split('/')
          .map((part) => (part === '{*}' ? '[^/]+' : part === '{**}' ? '[\\s\\S]*' : quote(part)))
          .join('/')}$`,
      );
  }
}

const bits = (bytes: Uint8Array): string =>
  [...bytes].map((byte) => byte.toString(2).padStart(8, '0')).join('');
const within = (block: Cidr, ip: Uint8Array): boolean =>
  block.address.length === ip.length &&
  bits(block.address).slice(0, block.length) === bits(ip).slice(0, block.length);

function kind<T>(
  some: readonly T[],
  none: readonly T[],
  hit: (item: T) => boolean,
): boolean | undefined {
  if (some.length + none.length === 0) {
    return undefined;
  }
  return (some.length === 0 || some.filter(hit).length > 0) && none.filter(hit).length === 0;
}

/** Whether one of `hosts` is meant: by anything that a server may take it for, or by all that it says. */
function isHost(
  hosts: readonly PathPattern[],
  host: string,
  { destinationPort: to, askedPort: asked = to }: ConnectionAttributes,
  isWide: boolean,
): boolean {
  const [, name = '', port = ''] = /^(.*?)(:\d+)?$/s.exec(host) ?? [];
  const bare = name.replace(/\.$/, '');
  const hits = (one: string): boolean =>
    hosts.some((item) => new RegExp(toRegExp(item).source, 'i').test(one));
  if (!isWide) return [host, ...(port === '' ? [] : [`${name}:${asked}`])].every(hits);
  const ports = [`:${to}`, `:${asked}`, port === '' ? ':80' : port];
  return [host, ...(bare === '' ? [] : [name, bare, ...ports.map((one) => bare + one)])].some(hits);
}

function slowMatch(
  { l4, l7 }: Match,
  { connection: c, request: r }: PolicyInput,
  allow: boolean,
): boolean | undefined {
  const s = c.source;
  const isUnknown = c.destinationIp === undefined;
  const to = c.destinationIp ?? new Uint8Array(0);
  const text = (value: string) => (item: PathPattern) => toRegExp(item).test(value);
  const l4Kinds = [
    kind(
      l4.principals,
      l4.notPrincipals,
      text(s ? `${s.trustDomain}/ns/${s.namespace}/sa/${s.serviceAccount}` : ''),
    ),
    kind(l4.namespaces, l4.notNamespaces, text(s ? s.namespace : '')),
    kind(l4.trustDomains, l4.notTrustDomains, text(s ? s.trustDomain : '')),
    kind(
      l4.serviceAccounts,
      l4.notServiceAccounts,
      (a) => a.name === s?.serviceAccount && a.namespace === s.namespace,
    ),
    kind(l4.sourceIps, l4.notSourceIps, (block) => within(block, c.sourceIp)),
    isUnknown && l4.destinationIps.length + l4.notDestinationIps.length > 0
      ? !allow
      : kind(l4.destinationIps, l4.notDestinationIps, (block) => within(block, to)),
    kind(l4.destinationPorts, l4.notDestinationPorts, (p) => p === c.destinationPort),
  ];
  const unknown = l7 !== undefined && Object.values(l7).flat().length > 0 ? !allow : undefined;
  const l7Kinds =
    l7 === undefined
      ? []
      : r === undefined
        ? [unknown]
        : [
            l7.undecidable.length > 0 ? !allow : undefined,
            kind(l7.methods, l7.notMethods, text(r.method)),
            kind(l7.paths, l7.notPaths, text(r.path)),
            l7.hosts.length === 0 ? undefined : isHost(l7.hosts, r.host, c, !allow),
            l7.notHosts.length === 0 ? undefined : !isHost(l7.notHosts, r.host, c, allow),
            kind(l7.headers, l7.notHeaders, (h) => {
              const value = r.header(h.name);
              return value !== undefined && h.values.some((v) => toRegExp(v).test(value));
            }),
          ];
  const said = [...l4Kinds, ...l7Kinds].filter((result) => result !== undefined);
  return said.length === 0 ? undefined : said.every(Boolean);
}

function slowPolicy(candidate: CompiledPolicy, point: PolicyInput): boolean {
  const allow = candidate.action === 'ALLOW';
  return candidate.rules.some((rule) => {
    const l7 = rule.clauses.flatMap((c) => c.matches).flatMap((m) => Object.values(m.l7 ?? {}));
    const needsRequest = l7.flat().length > 0;
    if (allow && needsRequest && point.request === undefined) {
      return false;
    }
    return rule.clauses.every(
      (clause) =>
        clause.matches.length === 0 ||
        clause.matches.some((m) => slowMatch(m, point, allow) === true),
    );
  });
}

function slowReason(policies: readonly CompiledPolicy[], point: PolicyInput): string {
  const enforced = policies.filter((p) => !p.dryRun);
  if (enforced.some((p) => p.action === 'DENY' && slowPolicy(p, point))) {
    return 'deny';
  }
  const allows = enforced.filter((p) => p.action === 'ALLOW');
  return allows.length === 0
    ? 'no-policy'
    : allows.some((p) => slowPolicy(p, point))
      ? 'allow'
      : 'no-match';
}

const RUNS = { numRuns: 2000 };

describe('evaluate, for all policies', () => {
  it('agrees with the slow evaluator', () => {
    fc.assert(
      fc.property(fc.array(policy, { maxLength: 4 }), input, (policies, point) => {
        assert.equal(evaluate(policies, point).reason, slowReason(policies, point));
      }),
      RUNS,
    );
  });

  it('reads a not-form as the complement', () => {
    const single = { ...EMPTY_L4 };
    fc.assert(
      fc.property(fc.array(pattern, { minLength: 1, maxLength: 9 }), input, (patterns, point) => {
        for (const [yes, no] of [
          ['principals', 'notPrincipals'],
          ['namespaces', 'notNamespaces'],
          ['trustDomains', 'notTrustDomains'],
        ] as const) {
          const allowed = (field: string): boolean =>
            evaluate([allowOf({ l4: { ...single, [field]: patterns } })], point).allowed;
          assert.notEqual(allowed(yes), allowed(no), yes);
        }
      }),
    );
  });

  it('never allows more by one more DENY, nor less by one more matching ALLOW', () => {
    fc.assert(
      fc.property(fc.array(policy, { maxLength: 3 }), policy, input, (policies, extra, point) => {
        const before = evaluate(policies, point);
        const after = evaluate([...policies, extra], point);
        if (extra.action === 'DENY') {
          assert.ok(before.allowed || !after.allowed);
        }
        if (extra.action === 'ALLOW' && before.reason !== 'no-policy') {
          assert.ok(!before.allowed || after.allowed);
        }
        if (extra.action === 'AUDIT' || extra.dryRun) {
          assert.equal(after.reason, before.reason);
        }
      }),
      RUNS,
    );
  });

  it('never allows while a policy is missing', () => {
    fc.assert(
      fc.property(fc.array(policy, { maxLength: 3 }), input, (policies, point) => {
        assert.equal(evaluate(policies, point, { missing: ['a/b'] }).allowed, false);
      }),
    );
  });
});

describe('l4Only, for all policies', () => {
  it('leaves no HTTP kind and decides as the full policy does at a TCP point', () => {
    fc.assert(
      fc.property(fc.array(policy, { maxLength: 3 }), connection, (policies, c) => {
        const projected = policies.map(l4Only);
        assert.doesNotMatch(JSON.stringify(projected.map((p) => p.rules)), /"methods":\[[^\]]/);
        assert.equal(
          evaluate(projected, { connection: c }).reason,
          evaluate(policies, { connection: c }).reason,
        );
      }),
      RUNS,
    );
  });

  it('never lets through at an agent what the waypoint would refuse by a DENY, nor more than its ALLOW', () => {
    fc.assert(
      fc.property(fc.array(policy, { maxLength: 3 }), connection, request, (policies, c, r) => {
        const agent = evaluate(policies.map(l4Only), { connection: c });
        const full = evaluate(policies, { connection: c, request: r });
        assert.ok(full.allowed || !agent.allowed);
      }),
      RUNS,
    );
  });
});

function allowOf(only: Match): CompiledPolicy {
  return {
    name: 'p',
    namespace: 'shop',
    scope: 'NAMESPACE',
    action: 'ALLOW',
    dryRun: false,
    rules: [{ clauses: [{ matches: [only], origin: '' }] }],
  };
}
