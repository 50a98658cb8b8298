import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { type CompiledPolicy, EMPTY_L4, EMPTY_L7, evaluate, type Match } from '@ambit/policy';
import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import fc from 'fast-check';

import { AuthorizationSchema } from '../gen/istio/security/authorization_pb.ts';
import { decodeAuthorization, encodeAuthorization, standInAuthorization } from './authorization.ts';
import { L4_FULL, policy } from './testing-shapes.ts';

describe('policies', () => {
  it('keep every field, origins and actions included', () => {
    for (const action of ['ALLOW', 'DENY', 'AUDIT'] as const) {
      for (const dryRun of [false, true]) {
        const made = policy([L4_FULL], { action, dryRun });
        assert.deepEqual(decodeAuthorization('shop/p', encodeAuthorization(made)), made, action);
      }
    }
  });

  it('send AUDIT as a DENY that is only a dry run', () => {
    const message = fromBinary(
      AuthorizationSchema,
      encodeAuthorization(policy([], { action: 'AUDIT' })),
    );
    assert.equal(message.action, 1);
    assert.equal(message.dryRun, true);
  });

  it('refuse to send what needs the request', () => {
    const l7: Match = {
      l4: EMPTY_L4,
      l7: { ...EMPTY_L7, methods: [{ kind: 'exact', value: 'GET' }] },
    };
    assert.throws(() => encodeAuthorization(policy([l7])), { code: 'XDS_NOT_EXPRESSIBLE' });
  });

  /** Trust domains with principals or with a suffix need our extension; alone they are principals. */
  const patterns = [
    { kind: 'exact', value: 'td' },
    { kind: 'prefix', value: 't' },
    { kind: 'suffix', value: 'd' },
    { kind: 'presence' },
  ] as const;
  const sources = [
    undefined,
    { trustDomain: 'td', namespace: 'n', serviceAccount: 's' },
    { trustDomain: 'other', namespace: 'n', serviceAccount: 's' },
    { trustDomain: 'td2', namespace: 'n', serviceAccount: 's' },
  ];
  const decide = (made: CompiledPolicy, source: (typeof sources)[number]): boolean =>
    evaluate([made], {
      connection: {
        sourceIp: Uint8Array.of(10, 0, 0, 1),
        destinationIp: Uint8Array.of(10, 0, 0, 2),
        destinationPort: 80,
        ...(source === undefined ? {} : { source }),
      },
    }).allowed;
  const withTrustDomains: Match[] = patterns.flatMap((pattern) => [
    { l4: { ...EMPTY_L4, trustDomains: [pattern] } },
    { l4: { ...EMPTY_L4, notTrustDomains: [pattern] } },
    {
      l4: {
        ...EMPTY_L4,
        trustDomains: [pattern],
        principals: [{ kind: 'suffix', value: '/sa/s' }],
      },
    },
    {
      l4: {
        ...EMPTY_L4,
        notTrustDomains: [pattern],
        notPrincipals: [{ kind: 'suffix', value: '/sa/x' }],
      },
    },
  ]);

  it('mean the same after the wire where trust domains are named', () => {
    for (const match of withTrustDomains) {
      for (const action of ['ALLOW', 'DENY'] as const) {
        const made = policy([match], { action });
        const back = decodeAuthorization('shop/p', encodeAuthorization(made));
        for (const source of sources) {
          const what = JSON.stringify([
            match.l4.trustDomains,
            match.l4.notTrustDomains,
            action,
            source,
          ]);
          assert.equal(decide(back, source), decide(made, source), what);
        }
      }
    }
  });

  it('are never wider for a foreign agent, which skips our extension', () => {
    for (const match of withTrustDomains) {
      for (const action of ['ALLOW', 'DENY'] as const) {
        const made = policy([match], { action });
        const message = fromBinary(AuthorizationSchema, encodeAuthorization(made));
        for (const { matches } of message.groups.flatMap(({ rules }) => rules)) {
          for (const one of matches) {
            one.extensions = [];
          }
        }
        const foreign = decodeAuthorization('shop/p', toBinary(AuthorizationSchema, message));
        for (const source of sources) {
          assert.ok(
            !decide(foreign, source) || decide(made, source),
            JSON.stringify([match.l4.trustDomains, action, source]),
          );
        }
      }
    }
  });

  const refused: Record<string, MessageInitShape<typeof AuthorizationSchema>> = {
    'another name': { name: 'q' },
    'an unknown action': { action: 9 as never },
    'an unknown scope': { scope: 9 as never },
    'a string match that says nothing': oneMatch({ principals: [{}] }),
    'a source address of 5 bytes': oneMatch({
      sourceIps: [{ address: new Uint8Array(5), length: 8 }],
    }),
    'a prefix longer than the address': oneMatch({
      sourceIps: [{ address: new Uint8Array(4), length: 33 }],
    }),
    'a port above 65535': oneMatch({ destinationPorts: [65_536] }),
    'an unknown action of ours': {
      action: 1,
      dryRun: true,
      extensions: [
        {
          name: 'ambit.mesh/action',
          config: {
            typeUrl: 'type.googleapis.com/ambit.mesh.v1.PolicyAction',
            value: Uint8Array.of(8, 9),
          },
        },
      ],
    },
    'an action of ours that denies for real': {
      action: 1,
      extensions: [
        {
          name: 'ambit.mesh/action',
          config: {
            typeUrl: 'type.googleapis.com/ambit.mesh.v1.PolicyAction',
            value: Uint8Array.of(8, 1),
          },
        },
      ],
    },
    'an extended match that is empty': oneMatch({
      extensions: [
        {
          name: 'ambit.mesh/match',
          config: {
            typeUrl: 'type.googleapis.com/ambit.mesh.v1.ExtendedMatch',
            value: new Uint8Array(),
          },
        },
      ],
    }),
  };
  for (const [name, message] of Object.entries(refused)) {
    it(`refuse one with ${name}`, () => {
      const value = create(AuthorizationSchema, {
        namespace: 'shop',
        name: 'p',
        ...message,
      } as never);
      assert.throws(() => decodeAuthorization('shop/p', toBinary(AuthorizationSchema, value)), {
        code: 'XDS_RESOURCE_INVALID',
      });
    });
  }

  const unknown: readonly (readonly [string, readonly number[]])[] = [
    ['the policy', [0x78, 1]],
    ['a rule', [42, 2, 0x78, 1]],
    ['a clause', [42, 4, 10, 2, 0x78, 1]],
    ['a clause, by its retired number', [42, 4, 10, 2, 0x08, 1]],
    ['a match', [42, 6, 10, 4, 18, 2, 0x78, 1]],
    ['a string match', [42, 8, 10, 6, 18, 4, 10, 2, 0x78, 1]],
    ['a presence', [42, 10, 10, 8, 18, 6, 10, 4, 34, 2, 0x78, 1]],
    ['an extension', [58, 2, 0x78, 1]],
  ];
  for (const [where, tail] of unknown) {
    it(`refuse one with a field that is not known in ${where}`, () => {
      const value = Uint8Array.from([10, 1, 0x70, 18, 4, ...Buffer.from('shop'), ...tail]);
      fromBinary(AuthorizationSchema, value);
      assert.throws(() => decodeAuthorization('shop/p', value), {
        code: 'XDS_RESOURCE_INVALID',
        message: /unknown field/,
      });
    });
  }

  it('refuse one with a field that is not known in an extended match of ours', () => {
    const made = policy([{ l4: { ...EMPTY_L4, trustDomains: [{ kind: 'suffix', value: 'd' }] } }]);
    const message = fromBinary(AuthorizationSchema, encodeAuthorization(made));
    const config = message.groups[0]?.rules[0]?.matches[0]?.extensions[0]?.config;
    assert.ok(config);
    config.value = Buffer.concat([config.value, Uint8Array.of(0x78, 1)]);
    assert.throws(() => decodeAuthorization('shop/p', toBinary(AuthorizationSchema, message)), {
      code: 'XDS_RESOURCE_INVALID',
    });
  });

  it('skip extensions of foreign names, whatever is in them', () => {
    const config = { typeUrl: 'type.googleapis.com/x.Y', value: Uint8Array.of(0xff) };
    const extensions = [{ name: 'x', config }];
    const value = create(AuthorizationSchema, {
      namespace: 'shop',
      name: 'p',
      ...oneMatch({ destinationPorts: [1], extensions }),
      extensions,
    } as never);
    const read = decodeAuthorization('shop/p', toBinary(AuthorizationSchema, value));
    assert.equal(read.rules.length, 1);
  });
});

describe('standInAuthorization', () => {
  const scopes = ['GLOBAL', 'NAMESPACE', 'WORKLOAD_SELECTOR'] as const;

  it('never falls short of what was held, whatever the bytes are', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 64 }),
        fc.constantFrom(...scopes, undefined),
        (value, held) => {
          const stand = standInAuthorization('shop/p', value, held);
          assert.equal(stand.isUnreadable, true);
          assert.equal(`${stand.namespace}/${stand.name}`, 'shop/p');
          const reach = scopes.indexOf(stand.scope);
          assert.ok(reach <= (held === undefined ? scopes.length : scopes.indexOf(held)));
        },
      ),
    );
  });

  const head = [10, 1, 0x70, 18, 4, ...Buffer.from('shop')];
  const cases: readonly (readonly [string, readonly number[], (typeof scopes)[number]])[] = [
    ['its scope', [...head, 24, 2], 'WORKLOAD_SELECTOR'],
    ['the last of two scopes', [...head, 24, 1, 24, 2], 'WORKLOAD_SELECTOR'],
    ['its scope although a rule is broken', [...head, 24, 1, 0x2a, 2, 0x0a, 9], 'NAMESPACE'],
    ['its scope although it has a field of the future', [...head, 24, 1, 0x78, 1], 'NAMESPACE'],
    ['everywhere: a scope of the future', [...head, 24, 9], 'GLOBAL'],
    ['everywhere: a scope that is text', [...head, 26, 1, 0x31], 'GLOBAL'],
    ['everywhere: cut off after its scope', [...head, 24, 2, 0x2a, 9], 'GLOBAL'],
    ['everywhere: the name of another', [10, 1, 0x71, ...head.slice(3), 24, 2], 'GLOBAL'],
    ['everywhere: no name', [24, 2], 'GLOBAL'],
  ];
  for (const [what, bytes, scope] of cases) {
    it(`reads ${what}`, () => {
      assert.equal(standInAuthorization('shop/p', Uint8Array.from(bytes)).scope, scope);
    });
  }
});

function oneMatch(match: object): MessageInitShape<typeof AuthorizationSchema> {
  return { groups: [{ rules: [{ matches: [match] }] }] };
}
