/** Our compiler against what the reference made of the same objects (fixtures: recorded from its wire). */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { evaluate } from './evaluate.ts';
import {
  compile,
  connection,
  meta,
  OPTIONS,
  type PolicyParts,
  peerAuthentication,
  plaintext,
  type RuleParts,
  tcp,
} from './fixtures/objects.ts';
import { l4Only } from './l4-only.ts';
import { EMPTY_L4 } from './match-shapes.ts';
import { compilePeerAuthentication } from './peer-authentication.ts';
import type { CompiledPolicy, L4Match, StringPattern } from './types.ts';

interface RecordedString {
  readonly exact?: string;
  readonly prefix?: string;
  readonly suffix?: string;
}
interface RecordedAddress {
  readonly address: string;
  readonly length: number;
}
interface RecordedMatch {
  readonly namespaces?: readonly RecordedString[];
  readonly not_namespaces?: readonly RecordedString[];
  readonly principals?: readonly RecordedString[];
  readonly not_principals?: readonly RecordedString[];
  readonly service_accounts?: readonly { namespace: string; serviceAccount: string }[];
  readonly source_ips?: readonly RecordedAddress[];
  readonly not_source_ips?: readonly RecordedAddress[];
  readonly destination_ips?: readonly RecordedAddress[];
  readonly destination_ports?: readonly number[];
  readonly not_destination_ports?: readonly number[];
}
interface Recorded {
  readonly name: string;
  readonly namespace: string;
  readonly scope?: CompiledPolicy['scope'];
  readonly action?: CompiledPolicy['action'];
  readonly groups?: readonly {
    readonly rules?: readonly { readonly matches?: readonly RecordedMatch[] }[];
  }[];
}

const RECORDED = JSON.parse(
  readFileSync(new URL('./fixtures/recorded-authorizations.json', import.meta.url), 'utf8'),
) as readonly Recorded[];

function recorded(name: string): CompiledPolicy {
  const found = RECORDED.find((policy) => policy.name === name);
  assert.ok(found !== undefined, name);
  return {
    name,
    namespace: found.namespace,
    scope: found.scope ?? 'GLOBAL',
    action: found.action ?? 'ALLOW',
    dryRun: false,
    rules: (found.groups ?? []).map((group) => ({
      clauses: (group.rules ?? []).map((rule) => ({
        origin: '',
        matches: (rule.matches ?? []).map((match) => ({ l4: l4Of(match) })),
      })),
    })),
  };
}

function l4Of(match: RecordedMatch): L4Match {
  const strings = (list: readonly RecordedString[] = []): StringPattern[] =>
    list.map((item) => {
      for (const kind of ['exact', 'prefix', 'suffix'] as const) {
        const value = item[kind];
        if (value !== undefined) {
          return { kind, value };
        }
      }
      return { kind: 'presence' };
    });
  const cidrs = (list: readonly RecordedAddress[] = []): L4Match['sourceIps'] =>
    list.map(({ address, length }) => ({
      address: Uint8Array.from(Buffer.from(address, 'base64')),
      length,
    }));
  return {
    ...EMPTY_L4,
    namespaces: strings(match.namespaces),
    notNamespaces: strings(match.not_namespaces),
    principals: strings(match.principals),
    notPrincipals: strings(match.not_principals),
    serviceAccounts: (match.service_accounts ?? []).map((account) => ({
      namespace: account.namespace,
      name: account.serviceAccount,
    })),
    sourceIps: cidrs(match.source_ips),
    notSourceIps: cidrs(match.not_source_ips),
    destinationIps: cidrs(match.destination_ips),
    destinationPorts: match.destination_ports ?? [],
    notDestinationPorts: match.not_destination_ports ?? [],
  };
}

/** The reference does not send where a clause was written. */
function withoutOrigins(policy: CompiledPolicy): CompiledPolicy {
  return {
    ...policy,
    rules: policy.rules.map((rule) => ({
      clauses: rule.clauses.map((clause) => ({ ...clause, origin: '' })),
    })),
  };
}

const selector = { matchLabels: { app: 'x' } };
const WRITTEN: readonly (readonly [string, readonly RuleParts[], PolicyParts])[] = [
  [
    'allow-callers',
    [
      {
        from: [
          {
            principals: [
              'cluster.local/ns/bookshop/sa/client',
              '*/sa/waypoint',
              'cluster.local/ns/ops/*',
              '*',
            ],
            notPrincipals: ['cluster.local/ns/bookshop/sa/banned'],
          },
          { namespaces: ['shop-front', 'team-*'], notNamespaces: ['bad'] },
          { serviceAccounts: ['bookshop/client', 'ratings'] },
        ],
        to: [{ ports: ['8080', '9090'] }],
      },
      {
        from: [
          {
            ipBlocks: ['10.244.1.0/24', '2001:db8::/64', '192.0.2.1'],
            notIpBlocks: ['10.244.1.99'],
          },
        ],
        when: [
          { key: 'destination.port', values: ['8081'] },
          { key: 'source.namespace', notValues: ['bad'] },
          { key: 'destination.ip', values: ['10.244.0.0/16'] },
        ],
      },
    ],
    { namespace: 'bookshop', spec: { selector } },
  ],
  [
    'deny-ports',
    [{ to: [{ notPorts: ['8080', '9090'] }] }],
    { namespace: 'bookshop', action: 'DENY', spec: { selector } },
  ],
  [
    'http-allow',
    [
      {
        to: [{ methods: ['GET'], paths: ['/a/*'] }],
        from: [{ principals: ['cluster.local/ns/bookshop/sa/reviews'] }],
      },
    ],
    { namespace: 'bookshop', spec: { selector } },
  ],
  [
    'http-deny',
    [{ to: [{ methods: ['DELETE'], ports: ['8070'] }] }],
    { namespace: 'bookshop', action: 'DENY', spec: { selector } },
  ],
  ['allow-nothing', [], { namespace: 'outside' }],
  ['deny-all-rule', [{}], { namespace: 'outside', action: 'DENY' }],
  [
    'mesh-wide',
    [{ from: [{ namespaces: ['quarantine'] }] }],
    { namespace: 'istio-system', action: 'DENY' },
  ],
];

describe('recorded authorizations', () => {
  for (const [name, rules, parts] of WRITTEN) {
    it(`compiles ${name} to the same policy`, () => {
      const ours = withoutOrigins(l4Only(compile(rules, { ...parts, name }).compiled));
      assert.deepEqual(ours, recorded(name));
    });
  }

  const paSelector = { matchLabels: { app: 'reviews' } };
  const target = { namespace: 'bookshop', labels: { app: 'reviews' } };
  it('converts PeerAuthentication to the same policies', () => {
    const strict = peerAuthentication(
      {
        selector: paSelector,
        mtls: { mode: 'STRICT' },
        portLevelMtls: { 9090: { mode: 'PERMISSIVE' } },
      },
      meta('ratings-ports', 'bookshop'),
    );
    const permissive = peerAuthentication(
      {
        selector: paSelector,
        mtls: { mode: 'PERMISSIVE' },
        portLevelMtls: { 8081: { mode: 'STRICT' } },
      },
      meta('client-ports', 'bookshop'),
    );
    const general = peerAuthentication({ mtls: { mode: 'STRICT' } }, meta('default', 'bookshop'));
    for (const [objects, name] of [
      [[strict], 'converted_peer_authentication_ratings-ports'],
      [[permissive, general], 'converted_peer_authentication_client-ports'],
      [[general], 'istio_converted_static_strict'],
    ] as const) {
      const { authorizations } = compilePeerAuthentication(objects, target, OPTIONS);
      assert.deepEqual(authorizations, [recorded(name)]);
    }
  });

  it('decides as the reference does', () => {
    const cases: readonly (readonly [string, Parameters<typeof tcp>[0], boolean])[] = [
      ['allow-callers', { destinationPort: 9090 }, true],
      ['allow-callers', { destinationPort: 8070 }, false],
      ['allow-callers', { destinationPort: 8081 }, true],
      ['allow-callers', { destinationPort: 8081, sourceIp: Uint8Array.of(10, 244, 1, 99) }, false],
      ['deny-ports', { destinationPort: 8080 }, true],
      ['deny-ports', { destinationPort: 8070 }, false],
      ['http-allow', {}, false],
      ['http-deny', { destinationPort: 8070 }, false],
      ['http-deny', {}, true],
      ['allow-nothing', {}, false],
      ['deny-all-rule', {}, false],
      ['mesh-wide', {}, true],
    ];
    for (const [name, parts, allowed] of cases) {
      assert.equal(
        evaluate([recorded(name)], tcp(parts)).allowed,
        allowed,
        `${name} ${JSON.stringify(parts)}`,
      );
    }
    const strict = [recorded('istio_converted_static_strict')];
    assert.equal(evaluate(strict, { connection: plaintext() }).allowed, false);
    assert.equal(evaluate(strict, { connection: connection() }).allowed, true);
  });
});
