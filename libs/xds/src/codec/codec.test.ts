import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { Address, Enrolment, MeshService, Workload } from '@ambit/model';
import { type CompiledPolicy, EMPTY_L4, EMPTY_L7, evaluate, type Match } from '@ambit/policy';
import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import fc from 'fast-check';

import { XdsError } from '../errors.ts';
import { EnrolmentSchema, ObjectSchema } from '../gen/ambit/mesh/v1/mesh_pb.ts';
import { AuthorizationSchema } from '../gen/istio/security/authorization_pb.ts';
import {
  AddressSchema,
  type ServiceSchema,
  type WorkloadSchema,
} from '../gen/istio/workload/workload_pb.ts';
import { addressAliases, addressName, decodeAddress, encodeAddress } from './address.ts';
import { decodeAuthorization, encodeAuthorization } from './authorization.ts';
import { decodeEnrolment, encodeEnrolment } from './enrolment.ts';
import { decodeObject, encodeObject } from './object.ts';

const WORKLOAD: Workload = {
  uid: 'Kubernetes//Pod/shop/reviews-1',
  name: 'reviews-1',
  namespace: 'shop',
  addresses: ['10.1.2.3', 'fd00::3'],
  network: 'net-1',
  tunnelProtocol: 'HBONE',
  trustDomain: 'example.org',
  serviceAccount: 'reviews',
  waypoint: {
    destination: { kind: 'hostname', hostname: { namespace: 'shop', hostname: 'waypoint.shop' } },
    hboneMtlsPort: 15008,
  },
  node: 'node1',
  canonicalName: 'reviews',
  canonicalRevision: 'v1',
  workloadType: 'CRONJOB',
  workloadName: 'reviews',
  nativeTunnel: true,
  authorizationPolicies: ['shop/a', 'shop/b'],
  status: 'UNHEALTHY',
  clusterId: 'c1',
  hostname: 'reviews-1.example',
  services: {
    'shop/a.shop.svc': [{ servicePort: 53, targetPort: 0, appProtocol: 'TCP' }],
    'shop/b.shop.svc': [
      { servicePort: 53, targetPort: 5353, appProtocol: 'UNKNOWN' },
      { servicePort: 53, targetPort: 5353, appProtocol: 'GRPC' },
    ],
  },
  networkMode: 'HOST_NETWORK',
  locality: { region: 'r', zone: 'z', subzone: '' },
  capacity: 3,
  guard: {
    waypointIdentities: ['spiffe://example.org/ns/shop/sa/waypoint'],
    ports: [8080],
    exclusive: true,
    because: ['AuthorizationPolicy/shop/reviews'],
  },
  labels: { app: 'reviews', version: 'v1' },
};

const SERVICE: MeshService = {
  name: 'reviews',
  namespace: 'shop',
  hostname: 'reviews.shop.svc.cluster.local',
  addresses: [
    { network: '', address: '10.96.0.1' },
    { network: 'n', address: '192.0.2.0', length: 24 },
  ],
  ports: [{ servicePort: 80, targetPort: 8080, appProtocol: 'HTTP2' }],
  subjectAltNames: ['spiffe://example.org/ns/shop/sa/x'],
  waypoint: {
    destination: { kind: 'address', address: { network: '', address: '10.96.0.9' } },
    hboneMtlsPort: 15008,
  },
  loadBalancing: {
    routingPreference: ['NETWORK', 'REGION'],
    mode: 'FAILOVER',
    healthPolicy: 'ALLOW_ALL',
  },
  ipFamilies: 'DUAL',
  canonical: true,
  ingressUseWaypoint: true,
};

function policy(matches: readonly Match[], extra: Partial<CompiledPolicy> = {}): CompiledPolicy {
  return {
    name: 'p',
    namespace: 'shop',
    scope: 'NAMESPACE',
    action: 'ALLOW',
    dryRun: false,
    rules: [{ clauses: [{ matches, origin: 'from' }] }],
    ...extra,
  };
}

const roundTrip = (address: Address): Address =>
  decodeAddress(addressName(address), encodeAddress(address));

describe('addresses', () => {
  it('keep every field of a workload and of a service', () => {
    const workload: Address = { kind: 'workload', workload: WORKLOAD };
    assert.deepEqual(roundTrip(workload), workload);
    const service: Address = { kind: 'service', service: SERVICE };
    assert.deepEqual(roundTrip(service), service);
  });

  it('encode equal content to equal bytes, whatever the order of keys', () => {
    const turned: Workload = {
      ...WORKLOAD,
      services: Object.fromEntries(Object.entries(WORKLOAD.services).reverse()),
      labels: Object.fromEntries(Object.entries(WORKLOAD.labels).reverse()),
    };
    assert.deepEqual(
      encodeAddress({ kind: 'workload', workload: turned }),
      encodeAddress({ kind: 'workload', workload: WORKLOAD }),
    );
  });

  it('leave out what the reference leaves out, and put its defaults in', () => {
    const workload: Workload = { ...WORKLOAD, trustDomain: 'cluster.local', capacity: 1 };
    const { type } = fromBinary(AddressSchema, encodeAddress({ kind: 'workload', workload }));
    assert.ok(type.case === 'workload');
    assert.equal(type.value.trustDomain, '');
    assert.equal(type.value.capacity, undefined);
    const bare = decodeAddress('u', wire({ uid: 'u' }));
    assert.ok(bare.kind === 'workload');
    assert.deepEqual(
      [
        bare.workload.trustDomain,
        bare.workload.serviceAccount,
        bare.workload.clusterId,
        bare.workload.capacity,
      ],
      ['cluster.local', 'default', 'Kubernetes', 1],
    );
  });

  it('have aliases by network and address, but none on the host network', () => {
    const plain: Workload = { ...WORKLOAD, networkMode: 'STANDARD' };
    assert.deepEqual(addressAliases({ kind: 'workload', workload: plain }), [
      'net-1/10.1.2.3',
      'net-1/fd00::3',
    ]);
    assert.deepEqual(addressAliases({ kind: 'workload', workload: WORKLOAD }), []);
    assert.deepEqual(addressAliases({ kind: 'service', service: SERVICE }), [
      '/10.96.0.1',
      'n/192.0.2.0/24',
    ]);
  });

  it('take an IPv4 address inside IPv6 for what it is', () => {
    const mapped = Uint8Array.from([...Array.from({ length: 10 }, () => 0), 255, 255, 10, 0, 0, 1]);
    const address = decodeAddress('u', wire({ uid: 'u', addresses: [mapped] }));
    assert.ok(address.kind === 'workload');
    assert.deepEqual(address.workload.addresses, ['10.0.0.1']);
  });

  const guardOf = (
    value: Uint8Array,
    typeUrl = 'type.googleapis.com/ambit.mesh.v1.Guard',
  ): object => ({
    name: 'ambit.mesh/guard',
    config: { typeUrl, value },
  });
  const refused: Record<string, MessageInitShape<typeof WorkloadSchema>> = {
    'no uid': {},
    'another uid': { uid: 'v' },
    'an address of 3 bytes': { uid: 'u', addresses: [Uint8Array.of(1, 2, 3)] },
    'an unknown tunnel protocol': { uid: 'u', tunnelProtocol: 77 as never },
    'the legacy tunnel protocol': { uid: 'u', tunnelProtocol: 2 },
    'an unknown status': { uid: 'u', status: 9 as never },
    'an unknown type': { uid: 'u', workloadType: 9 as never },
    'an unknown network mode': { uid: 'u', networkMode: 9 as never },
    'a waypoint without destination': { uid: 'u', waypoint: { hboneMtlsPort: 15008 } },
    'a service key without namespace': { uid: 'u', services: { 'a.b': { ports: [] } } },
    'a port above 65535': { uid: 'u', services: { 'a/b': { ports: [{ servicePort: 70_000 }] } } },
    'an unknown protocol': {
      uid: 'u',
      services: { 'a/b': { ports: [{ appProtocol: 9 as never }] } },
    },
    'a guard that is none': { uid: 'u', extensions: [guardOf(Uint8Array.of(255))] },
    'a guard of another type': { uid: 'u', extensions: [guardOf(new Uint8Array(), 'x')] },
    'two guards': { uid: 'u', extensions: [guardOf(new Uint8Array()), guardOf(new Uint8Array())] },
  };
  for (const [name, message] of Object.entries(refused)) {
    it(`refuse a workload with ${name}`, () => {
      assert.throws(() => decodeAddress('u', wire(message)), { code: 'XDS_RESOURCE_INVALID' });
    });
  }

  const refusedServices: Record<string, MessageInitShape<typeof ServiceSchema>> = {
    'no hostname': { namespace: 'n' },
    'an unspecified scope': { loadBalancing: { routingPreference: [0] } },
    'an unknown scope': { loadBalancing: { routingPreference: [99 as never] } },
    'an unknown mode': { loadBalancing: { mode: 99 as never } },
    'an unknown health policy': { loadBalancing: { healthPolicy: 99 as never } },
    'unknown families': { ipFamilies: 99 as never },
    'a prefix that is too long': {
      addresses: [{ address: Uint8Array.of(1, 2, 3, 4), length: 33 }],
    },
    'no address': { addresses: [{}] },
  };
  for (const [name, message] of Object.entries(refusedServices)) {
    it(`refuse a service with ${name}`, () => {
      const value = create(AddressSchema, {
        type: {
          case: 'service',
          value: {
            namespace: 'n',
            ...(name === 'no hostname' ? {} : { hostname: 'h' }),
            ...message,
          } as never,
        },
      });
      assert.throws(() => decodeAddress('n/h', toBinary(AddressSchema, value)), {
        code: 'XDS_RESOURCE_INVALID',
      });
    });
  }

  it('refuse what is neither, and skip fields of a later version', () => {
    assert.throws(() => decodeAddress('u', new Uint8Array()), { code: 'XDS_RESOURCE_INVALID' });
    const later = Buffer.concat([
      encodeAddress({ kind: 'workload', workload: WORKLOAD }),
      Buffer.from([0xfa, 0x7f, 1, 65]),
    ]);
    assert.deepEqual(decodeAddress(WORKLOAD.uid, later), { kind: 'workload', workload: WORKLOAD });
  });
});

function wire(workload: MessageInitShape<typeof WorkloadSchema>): Uint8Array {
  const value = create(AddressSchema, { type: { case: 'workload', value: workload as never } });
  return toBinary(AddressSchema, value);
}

const L4_FULL: Match = {
  l4: {
    ...EMPTY_L4,
    namespaces: [{ kind: 'exact', value: 'a' }],
    notNamespaces: [{ kind: 'prefix', value: 'b' }],
    principals: [{ kind: 'suffix', value: '/sa/c' }, { kind: 'presence' }],
    notPrincipals: [{ kind: 'exact', value: 'd' }],
    serviceAccounts: [{ namespace: 'n', name: 's' }],
    notServiceAccounts: [{ namespace: 'n', name: 't' }],
    sourceIps: [{ address: Uint8Array.of(10, 0, 0, 0), length: 8 }],
    notSourceIps: [{ address: Uint8Array.of(10, 1, 0, 0), length: 16 }],
    destinationIps: [{ address: Uint8Array.from({ length: 16 }, () => 1), length: 64 }],
    notDestinationIps: [{ address: Uint8Array.of(1, 2, 3, 4), length: 32 }],
    destinationPorts: [80],
    notDestinationPorts: [81],
  },
};

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
});

function oneMatch(match: object): MessageInitShape<typeof AuthorizationSchema> {
  return { groups: [{ rules: [{ matches: [match] }] }] };
}

describe('enrolments and objects', () => {
  const ENROLMENT: Enrolment = {
    namespace: 'shop',
    mode: 'ambient',
    exceptions: [
      { pod: 'p', mode: 'none' },
      { pod: 'q', mode: 'ambient' },
    ],
    dnsCapture: true,
  };

  it('keep every field', () => {
    assert.deepEqual(decodeEnrolment('shop', encodeEnrolment(ENROLMENT)), ENROLMENT);
    const object = { kind: 'Namespace', metadata: { name: 'ä' } } as never;
    const resource = { key: 'Namespace/ä', semanticsVersion: 7, object };
    assert.deepEqual(decodeObject('Namespace/ä', encodeObject(resource)), resource);
  });

  it('refuse another name, an unknown mode, what is not JSON, and another kind', () => {
    assert.throws(() => decodeEnrolment('other', encodeEnrolment(ENROLMENT)), {
      code: 'XDS_RESOURCE_INVALID',
    });
    const mode = toBinary(
      EnrolmentSchema,
      create(EnrolmentSchema, { namespace: 'shop', mode: 5 as never }),
    );
    assert.throws(() => decodeEnrolment('shop', mode), { code: 'XDS_RESOURCE_INVALID' });
    for (const json of ['', '{', 'null', '[]', '{"kind":"Pod"}', '\u00ff']) {
      const bytes = json === '\u00ff' ? Uint8Array.of(0xff) : Buffer.from(json);
      const value = toBinary(
        ObjectSchema,
        create(ObjectSchema, { key: 'Namespace/a', json: bytes }),
      );
      assert.throws(
        () => decodeObject('Namespace/a', value),
        { code: 'XDS_RESOURCE_INVALID' },
        json,
      );
    }
  });
});

describe('decoders of untrusted bytes', () => {
  it('throw nothing but their own error', () => {
    const decoders = [decodeAddress, decodeAuthorization, decodeEnrolment, decodeObject];
    const seeds = [
      encodeAddress({ kind: 'workload', workload: WORKLOAD }),
      encodeAddress({ kind: 'service', service: SERVICE }),
      encodeAuthorization(policy([L4_FULL])),
    ];
    const mutated = fc
      .tuple(
        fc.constantFrom(...seeds),
        fc.array(fc.tuple(fc.nat(400), fc.nat(255)), { maxLength: 6 }),
        fc.nat(400),
      )
      .map(([seed, changes, length]) => {
        const bytes = Uint8Array.from(seed);
        for (const [at, value] of changes) {
          bytes[at % bytes.length] = value;
        }
        return bytes.subarray(0, length < 200 ? length : bytes.length);
      });
    fc.assert(
      fc.property(
        fc.oneof(fc.uint8Array({ maxLength: 64 }), mutated),
        fc.constantFrom(...decoders),
        (bytes, decode) => {
          try {
            decode(WORKLOAD.uid, bytes);
          } catch (error) {
            assert.ok(error instanceof XdsError, String(error));
          }
        },
      ),
      { numRuns: 2_000 },
    );
  });
});
