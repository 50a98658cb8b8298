import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { evaluate } from './evaluate.ts';
import {
  compile,
  connection,
  http,
  plaintext,
  type RuleParts,
  request,
  tcp,
} from './fixtures/objects.ts';
import { EMPTY_L4 } from './match-shapes.ts';
import type { CompiledPolicy, PolicyInput, Rule } from './types.ts';

function policy(
  rules: readonly Rule[],
  action: CompiledPolicy['action'] = 'ALLOW',
): CompiledPolicy {
  return { name: 'p', namespace: 'shop', scope: 'NAMESPACE', action, dryRun: false, rules };
}

/** Whether the rule matches, asked through both actions. */
function matches(rule: RuleParts, input: PolicyInput): { allow: boolean; deny: boolean } {
  const allow = evaluate([compile([rule]).compiled], input).reason === 'allow';
  const deny = evaluate([compile([rule], { action: 'DENY' }).compiled], input).reason === 'deny';
  return { allow, deny };
}

/** Every wildcard shape on every kind of value: [value, hits, misses]. */
const SHAPES: readonly (readonly [
  (word: string) => string,
  readonly string[],
  readonly string[],
])[] = [
  [(word) => word, ['{}'], ['{}x', 'x{}', '']],
  [(word) => `${word}*`, ['{}', '{}x'], ['x{}', '']],
  [(word) => `*${word}`, ['{}', 'x{}'], ['{}x', '']],
  [() => '*', ['{}', 'x'], ['']],
  [(word) => `${word}*${word}`, ['{}*{}'], ['{}', '{}x{}', '']],
];

interface Kind {
  readonly name: string;
  readonly word: string;
  readonly l7: boolean;
  readonly rule: (value: string, not: boolean) => RuleParts;
  readonly input: (value: string) => PolicyInput;
}

const from =
  (field: 'namespaces' | 'trustDomains' | 'principals') => (value: string, not: boolean) => ({
    from: [{ [not ? `not${field.charAt(0).toUpperCase()}${field.slice(1)}` : field]: [value] }],
  });
const to = (field: 'hosts' | 'methods' | 'paths') => (value: string, not: boolean) => ({
  to: [{ [not ? `not${field.charAt(0).toUpperCase()}${field.slice(1)}` : field]: [value] }],
});
const identity = (parts: { namespace?: string; trustDomain?: string }): PolicyInput => ({
  connection: connection({
    source: { trustDomain: 'td', namespace: 'ns', serviceAccount: 'sa', ...parts },
  }),
  request: request(),
});

const KINDS: readonly Kind[] = [
  {
    name: 'namespaces',
    word: 'team',
    l7: false,
    rule: from('namespaces'),
    input: (namespace) => identity({ namespace }),
  },
  {
    name: 'trustDomains',
    word: 'my.org',
    l7: false,
    rule: from('trustDomains'),
    input: (trustDomain) => identity({ trustDomain }),
  },
  { name: 'hosts', word: 'reviews', l7: true, rule: to('hosts'), input: (host) => http({ host }) },
  {
    name: 'methods',
    word: 'GET',
    l7: true,
    rule: to('methods'),
    input: (method) => http({ method }),
  },
  { name: 'paths', word: '/a/b', l7: true, rule: to('paths'), input: (path) => http({ path }) },
  {
    name: 'request.headers',
    word: 'value',
    l7: true,
    rule: (value, not) => ({
      when: [{ key: 'request.headers[X-Thing]', [not ? 'notValues' : 'values']: [value] }],
    }),
    input: (value) => http({ headers: { 'x-thing': value } }),
  },
];

describe('evaluate, every wildcard shape', () => {
  for (const kind of KINDS) {
    for (const [write, hits, misses] of SHAPES) {
      const value = write(kind.word);
      it(`${kind.name} "${value}" in ALLOW and DENY, at HTTP and TCP`, () => {
        for (const [wanted, samples] of [
          [true, hits],
          [false, misses],
        ] as const) {
          for (const sample of samples) {
            const input = kind.input(sample.replaceAll('{}', kind.word));
            assert.deepEqual(
              matches(kind.rule(value, false), input),
              { allow: wanted, deny: wanted },
              sample,
            );
            const not = { allow: !wanted, deny: !wanted };
            assert.deepEqual(matches(kind.rule(value, true), input), not, `not ${sample}`);
            const atTcp = { connection: input.connection };
            const l4 = { allow: wanted, deny: wanted };
            const expected = kind.l7 ? { allow: false, deny: true } : l4;
            assert.deepEqual(matches(kind.rule(value, false), atTcp), expected, `tcp ${sample}`);
          }
        }
      });
    }
  }

  it('matches principals without the scheme, and presence only with identity', () => {
    const cases: readonly (readonly [string, boolean])[] = [
      ['cluster.local/ns/shop/sa/client', true],
      ['*/sa/client', true],
      ['cluster.local/ns/shop/*', true],
      ['*', true],
      ['cluster.local/ns/shop/sa/clien', false],
      ['ns/shop/sa/client', false],
    ];
    for (const [principal, wanted] of cases) {
      const rule = { from: [{ principals: [principal] }] };
      assert.deepEqual(matches(rule, tcp()), { allow: wanted, deny: wanted }, principal);
      const none = { allow: false, deny: false };
      assert.deepEqual(matches(rule, { connection: plaintext() }), none, `plaintext ${principal}`);
    }
    const strict = { from: [{ notPrincipals: ['*'] }] };
    assert.deepEqual(matches(strict, { connection: plaintext() }), { allow: true, deny: true });
    assert.deepEqual(matches(strict, tcp()), { allow: false, deny: false });
  });
});

describe('evaluate, emptiness', () => {
  const emptyMatch = { l4: EMPTY_L4 };
  const cases: readonly (readonly [string, readonly Rule[], boolean])[] = [
    ['a policy with no rules matches nothing', [], false],
    ['a rule with no clauses matches everything', [{ clauses: [] }], true],
    ['a clause with no matches is true', [{ clauses: [{ matches: [], origin: '' }] }], true],
    [
      'a clause of only empty matches is false',
      [{ clauses: [{ matches: [emptyMatch], origin: '' }] }],
      false,
    ],
    [
      'an empty match beside another is ignored',
      [
        {
          clauses: [
            {
              matches: [emptyMatch, { l4: { ...EMPTY_L4, destinationPorts: [8080] } }],
              origin: '',
            },
          ],
        },
      ],
      true,
    ],
  ];
  for (const [claim, rules, wanted] of cases) {
    it(claim, () => {
      for (const input of [tcp(), http()]) {
        assert.equal(evaluate([policy(rules)], input).allowed, wanted);
        assert.equal(evaluate([policy(rules, 'DENY')], input).allowed, !wanted);
      }
    });
  }

  it('allows when there is no ALLOW policy, and denies all for an empty spec', () => {
    assert.deepEqual(evaluate([], tcp()), {
      allowed: true,
      reason: 'no-policy',
      tried: [],
      audited: [],
      dryRun: [],
    });
    const verdict = evaluate([compile([]).compiled], tcp());
    assert.equal(verdict.reason, 'no-match');
    assert.deepEqual(verdict.tried, ['shop/p']);
  });
});

describe('evaluate, order', () => {
  const allowAll = compile([{}], { name: 'allow' }).compiled;
  const denyAll = compile([{}], { name: 'deny', action: 'DENY' }).compiled;
  const audit = compile([{}], { name: 'audit', action: 'AUDIT' }).compiled;

  it('lets DENY win, wherever it stands', () => {
    const verdict = evaluate([allowAll, denyAll], tcp());
    assert.deepEqual(verdict.by, { policy: 'shop/deny', rule: 0, clause: '' });
    assert.equal(verdict.allowed, false);
  });

  it('refuses while a named policy is missing, and still names a DENY', () => {
    const verdict = evaluate([allowAll], tcp(), { missing: ['shop/late'] });
    assert.equal(verdict.reason, 'policy-missing');
    assert.equal(verdict.allowed, false);
    assert.equal(evaluate([denyAll], tcp(), { missing: ['shop/late'] }).reason, 'deny');
    assert.equal(evaluate([], tcp(), { missing: ['shop/late'] }).allowed, false);
  });

  it('records AUDIT without deciding', () => {
    const verdict = evaluate([audit], tcp());
    assert.equal(verdict.reason, 'no-policy');
    assert.deepEqual(verdict.audited, [{ policy: 'shop/audit', rule: 0, clause: '' }]);
  });

  it('records dry-run without deciding', () => {
    const annotations = { 'istio.io/dry-run': 'true' };
    const rule: RuleParts = { to: [{ ports: ['8080'] }] };
    const deny = compile([rule], { action: 'DENY', annotations }).compiled;
    const other: RuleParts = { to: [{ ports: ['1'] }] };
    const allow = compile([other], { annotations }).compiled;
    const verdict = evaluate([deny, allow], tcp());
    assert.equal(verdict.reason, 'no-policy');
    assert.deepEqual(verdict.dryRun, [
      { policy: 'shop/p', rule: 0, clause: 'to', wouldBe: 'deny' },
      { policy: 'shop/p', rule: -1, clause: '', wouldBe: 'deny' },
    ]);
  });

  it('names the rule and its clauses as people read them', () => {
    const rules: readonly RuleParts[] = [
      { to: [{ ports: ['1'] }] },
      {
        from: [{ namespaces: ['shop'] }],
        to: [{ ports: ['8080'] }],
        when: [{ key: 'source.ip', values: ['10.0.0.0/8'] }],
      },
    ];
    assert.deepEqual(evaluate([compile(rules, { action: 'DENY' }).compiled], tcp()).by, {
      policy: 'shop/p',
      rule: 1,
      clause: 'from, to, when[0]',
    });
  });
});

describe('evaluate, what cannot be decided', () => {
  const mixed: RuleParts = { to: [{ methods: ['DELETE'], ports: ['8080'] }] };

  it('reads HTTP kinds at a TCP point as never in ALLOW, ignored in DENY and AUDIT', () => {
    assert.deepEqual(matches(mixed, tcp()), { allow: false, deny: true });
    assert.deepEqual(matches(mixed, tcp({ destinationPort: 1 })), { allow: false, deny: false });
    const audit = compile([mixed], { action: 'AUDIT' }).compiled;
    assert.equal(evaluate([audit], tcp()).audited.length, 1);
  });

  it('drops a whole ALLOW rule with any HTTP kind at a TCP point', () => {
    const either: RuleParts = { to: [{ ports: ['8080'] }, { methods: ['GET'] }] };
    assert.deepEqual(matches(either, tcp()), { allow: false, deny: true });
    assert.deepEqual(matches(either, http()), { allow: true, deny: true });
  });

  const undecidable: readonly RuleParts[] = [
    { from: [{ requestPrincipals: ['*'] }] },
    { from: [{ notRequestPrincipals: ['*'] }] },
    { from: [{ remoteIpBlocks: ['10.0.0.0/8'] }] },
    { when: [{ key: 'request.auth.claims[a][b]', values: ['x'] }] },
    { when: [{ key: 'remote.ip', notValues: ['10.0.0.0/8'] }] },
  ];
  for (const rule of undecidable) {
    it(`never allows and always denies by ${JSON.stringify(rule)}`, () => {
      assert.deepEqual(matches(rule, http()), { allow: false, deny: true });
      assert.deepEqual(matches(rule, tcp()), { allow: false, deny: true });
    });
  }

  it('still decides what stands beside it', () => {
    const rule: RuleParts = { from: [{ requestPrincipals: ['*'] }], to: [{ methods: ['PUT'] }] };
    assert.deepEqual(matches(rule, http()), { allow: false, deny: false });
    assert.deepEqual(matches(rule, http({ method: 'PUT' })), { allow: false, deny: true });
  });

  it('refuses by CUSTOM, because nobody can be asked', () => {
    const custom = compile([{ to: [{ paths: ['/admin*'] }] }], { action: 'CUSTOM' }).compiled;
    assert.equal(evaluate([custom], http({ path: '/admin/x' })).reason, 'deny');
    assert.equal(evaluate([custom], http({ path: '/' })).reason, 'no-policy');
  });
});

describe('evaluate, percent-encoding', () => {
  // As `normalizePath` writes it, however it was sent.
  const caller = http({ path: '/caf%C3%A9' });
  for (const path of ['/caf%c3%a9', '/caf%C3%A9', '/caf%c3*', '*%a9', '/caf%c*', '*c3%a9']) {
    it(`is one however a policy spells it: ${path}`, () => {
      assert.deepEqual(matches({ to: [{ paths: [path] }] }, caller), { allow: true, deny: true });
      const not = { allow: false, deny: false };
      assert.deepEqual(matches({ to: [{ notPaths: [path] }] }, caller), not);
    });
  }
});

describe('evaluate, escapes of what needs none', () => {
  for (const path of ['/%7Ebob', '/%7ebob', '/%7Ebo*', '*%7Ebob', '/~%62ob', '/{*}']) {
    it(`are the characters, however a policy writes them: ${path}`, () => {
      const both = { allow: true, deny: true };
      assert.deepEqual(matches({ to: [{ paths: [path] }] }, http({ path: '/~bob' })), both);
    });
  }
});

describe('evaluate, hosts and headers', () => {
  it('compares hosts without case and with the port as sent', () => {
    const rule: RuleParts = { to: [{ hosts: ['Reviews.Shop'] }] };
    assert.equal(matches(rule, http({ host: 'reviews.shop' })).allow, true);
    assert.equal(matches(rule, http({ host: 'REVIEWS.shop' })).allow, true);
    assert.equal(matches(rule, http({ host: 'reviews.shop:80' })).allow, false);
    const anyPort: RuleParts = { to: [{ hosts: ['reviews.shop:*'] }] };
    assert.equal(matches(anyPort, http({ host: 'reviews.shop:80' })).allow, true);
    assert.equal(matches(anyPort, http({ host: 'reviews.shop' })).allow, false);
  });

  for (const [sent, asked, forbidden] of [
    // [sent, [allow, deny] of a rule that asks for a.b, the same of one that forbids it]
    ['a.b', [true, true], [false, false]],
    ['A.b', [true, true], [false, false]],
    ['a.b:80', [false, true], [false, true]],
    ['a.b.', [false, true], [false, true]],
    ['a.b.:8080', [false, true], [false, true]],
    ['a.b.c', [false, false], [true, true]],
    ['x.a.b:80', [false, false], [true, true]],
    ['a.b..', [false, false], [true, true]],
  ] as const) {
    it(`judges a host sent as ${sent} to the stricter side`, () => {
      const some = matches({ to: [{ hosts: ['a.b'] }] }, http({ host: sent }));
      const none = matches({ to: [{ notHosts: ['a.b'] }] }, http({ host: sent }));
      assert.deepEqual([some.allow, some.deny], asked);
      assert.deepEqual([none.allow, none.deny], forbidden);
    });
  }

  it('asks for the same name and port, however the name ends', () => {
    const rule: RuleParts = { to: [{ hosts: ['a.b:80', '[::1]', '*.c'] }] };
    for (const [host, denied] of [
      ['a.b.:80', true],
      ['a.b', true],
      ['a.b:81', false],
      ['[::1]:80', true],
      ['[::2]:80', false],
      ['x.c:1', true],
      ['x.c.', true],
    ] as const) {
      assert.equal(matches(rule, http({ host })).deny, denied, host);
    }
  });

  for (const [named, sent] of [
    ['a.b:80', 'a.b'],
    ['a.b:80', 'a.b.'],
    ['a.b:8080', 'a.b'],
    ['*.b:8080', 'a.b'],
    ['a.b.', 'a.b'],
    ['a.b.:80', 'a.b'],
    ['a.b:80', 'a.b:080'],
    ['[fd00::1]', '[fd00:0::1]'],
    ['[fd00::1]', '[FD00:0::0001]:80'],
    ['[fd00::1]:80', '[fd00:0::1]'],
    ['[fd00:0::1]', '[fd00::1]'],
    ['10.0.0.1', '[::ffff:10.0.0.1]'],
  ] as const) {
    it(`refuses ${sent} to port 8080 where ${named} is refused, and allows no more`, () => {
      const some = matches({ to: [{ hosts: [named] }] }, http({ host: sent }));
      const none = matches({ to: [{ notHosts: [named] }] }, http({ host: sent }));
      assert.deepEqual([some.allow, some.deny], [false, true]);
      assert.deepEqual([none.allow, none.deny], [false, true]);
    });
  }

  for (const [named, sent, asked, to, allow, deny] of [
    // What the rule names, what is sent, the port that the caller asked for, the endpoint's.
    ['x:80', 'x:80', 80, 8080, true, true],
    ['x:80', 'x:81', 80, 80, false, true],
    ['x:80', 'x:81', 80, 8080, false, true],
    ['x:8080', 'x:81', 80, 8080, false, true],
    ['x:81', 'x:81', 80, 80, false, true],
    ['x:81', 'x:81', 80, 81, false, true],
    ['x:81', 'x:81', 81, 8080, true, true],
    ['x:*', 'x:81', 80, 80, true, true],
    ['*:80', 'x:81', 80, 80, false, true],
    ['*:81', 'x.:81', 80, 80, false, true],
    ['*:81', 'x:81', 81, 80, true, true],
    ['*', 'x:81', 80, 80, true, true],
    ['[::1]:80', '[::1]:81', 80, 80, false, true],
    ['x:80', 'x:8080', 8080, 8080, false, false],
    ['x:80', 'x:9090', 9090, 8080, false, false],
    ['x:80', 'y:81', 80, 80, false, false],
    ['x:80', 'x:81', undefined, 80, false, true],
    ['x:81', 'x:81', undefined, 80, false, true],
    ['x:81', 'x:81', undefined, 81, true, true],
  ] as const) {
    const place = `port ${asked ?? '-'}, which is ${to} of the endpoint`;
    it(`judges ${named} by ${sent} at ${place}: ${allow} and ${deny}`, () => {
      const parts = { destinationPort: to, ...(asked === undefined ? {} : { askedPort: asked }) };
      const point = { ...http({ host: sent }), connection: connection(parts) };
      const some = matches({ to: [{ hosts: [named] }] }, point);
      const none = matches({ to: [{ notHosts: [named] }] }, point);
      assert.deepEqual([some.allow, some.deny], [allow, deny]);
      assert.deepEqual([none.allow, none.deny], [!deny, !allow]);
    });
  }

  it('compares what is no ASCII by its bytes', () => {
    const inLatin1 = (text: string): string => Buffer.from(text).toString('latin1');
    const rule: RuleParts = { when: [{ key: 'request.headers[a]', values: ['é*', 'x'] }] };
    for (const [value, held] of [
      [inLatin1('é'), true],
      [inLatin1('élan'), true],
      ['\xe9', false],
      ['\xc3', false],
      ['x\xff', false],
      ['x', true],
    ] as const) {
      const { allow, deny } = matches(rule, http({ headers: { a: value } }));
      assert.deepEqual([allow, deny], [held, held], JSON.stringify(value));
    }
  });

  it('reads a header that was not sent as no value', () => {
    const some: RuleParts = { when: [{ key: 'request.headers[a]', values: ['x*'] }] };
    const none: RuleParts = { when: [{ key: 'request.headers[a]', notValues: ['x*'] }] };
    assert.equal(matches(some, http()).allow, false);
    assert.equal(matches(none, http()).allow, true);
  });

  for (const [values, asked, forbidden] of [
    // [sent, [allow, deny] of a rule that asks for x*, the same of one that forbids it]
    [
      ['x1', 'x2'],
      [true, true],
      [false, false],
    ],
    [
      ['x1', 'y'],
      [false, true],
      [false, true],
    ],
    [
      ['y', 'x1'],
      [false, true],
      [false, true],
    ],
    [
      ['y', 'z'],
      [false, false],
      [true, true],
    ],
  ] as const) {
    it(`judges each of ${values.join(' and ')}, sent under one name, to the stricter side`, () => {
      const input: PolicyInput = {
        ...tcp(),
        request: {
          ...request({ headers: { a: values.join(',') } }),
          repeatedHeader: (name) => (name === 'a' ? values : undefined),
        },
      };
      const key = 'request.headers[a]';
      const some = matches({ when: [{ key, values: ['x*'] }] }, input);
      const none = matches({ when: [{ key, notValues: ['x*'] }] }, input);
      assert.deepEqual([some.allow, some.deny], asked);
      assert.deepEqual([none.allow, none.deny], forbidden);
    });
  }
});
