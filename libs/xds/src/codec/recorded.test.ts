import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { type DescMessage, fromBinary, toJson } from '@bufbuild/protobuf';

import { loadContentHash } from '../content-hash.ts';
import { AuthorizationSchema } from '../gen/istio/security/authorization_pb.ts';
import { AddressSchema, WorkloadSchema } from '../gen/istio/workload/workload_pb.ts';
import { recordedResources } from '../testing-recordings.ts';
import { TYPE_URL } from '../type-urls.ts';
import { addressName, decodeAddress, encodeAddress } from './address.ts';
import { authorizationName, decodeAuthorization, encodeAuthorization } from './authorization.ts';

const hash = await loadContentHash();

function json(schema: DescMessage, bytes: Uint8Array): unknown {
  return toJson(schema, fromBinary(schema, bytes), { useProtoFieldName: true });
}

/** The service account that an empty one stands for. */
function withDefaults(address: unknown): unknown {
  const { workload } = address as { workload?: object };
  return workload === undefined
    ? address
    : { workload: { service_account: 'default', ...workload } };
}

const of = (typeUrl: string): typeof recordedResources =>
  recordedResources.filter(({ type_url }) => type_url === typeUrl);

describe('resources of the reference', () => {
  it('are read as what the reference says they are', () => {
    const schemas: Record<string, DescMessage> = {
      [TYPE_URL.address]: AddressSchema,
      [TYPE_URL.authorization]: AuthorizationSchema,
      [TYPE_URL.workload]: WorkloadSchema,
    };
    for (const resource of recordedResources) {
      const schema = schemas[resource.type_url];
      assert.ok(schema, resource.type_url);
      const bytes = Buffer.from(resource.value_base64, 'base64');
      assert.deepEqual(json(schema, bytes), resource.json, resource.name);
    }
  });

  it('have the version that we compute', () => {
    for (const { name, version, value_base64 } of of(TYPE_URL.address)) {
      assert.equal(hash(Buffer.from(value_base64, 'base64')), version, name);
    }
  });

  it('survive decoding and encoding of addresses', () => {
    for (const resource of of(TYPE_URL.address)) {
      const address = decodeAddress(resource.name, Buffer.from(resource.value_base64, 'base64'));
      assert.equal(addressName(address), resource.name);
      const encoded = encodeAddress(address);
      assert.deepEqual(withDefaults(json(AddressSchema, encoded)), withDefaults(resource.json));
      assert.deepEqual(decodeAddress(resource.name, encoded), address, resource.name);
    }
  });

  it('survive decoding and encoding of policies', () => {
    for (const resource of of(TYPE_URL.authorization)) {
      const value = Buffer.from(resource.value_base64, 'base64');
      const policy = decodeAuthorization(resource.name, value);
      assert.equal(authorizationName(policy), resource.name);
      const encoded = encodeAuthorization(policy);
      assert.deepEqual(json(AuthorizationSchema, encoded), resource.json, resource.name);
      assert.deepEqual(decodeAuthorization(resource.name, encoded), policy, resource.name);
    }
  });
});
