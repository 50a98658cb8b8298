import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { Address, Workload } from '@ambit/model';
import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';

import {
  AddressSchema,
  type ServiceSchema,
  type WorkloadSchema,
} from '../gen/istio/workload/workload_pb.ts';
import { addressAliases, addressName, decodeAddress, encodeAddress } from './address.ts';
import { SERVICE, WORKLOAD } from './testing-shapes.ts';

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
    'an application tunnel to no port': { uid: 'u', applicationTunnel: { port: 70_000 } },
    'an application tunnel of a later kind': {
      uid: 'u',
      applicationTunnel: { protocol: 9 as never },
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
