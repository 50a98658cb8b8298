import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { Enrolment, PodFacts } from '@ambit/model';
import { create, toBinary } from '@bufbuild/protobuf';
import fc from 'fast-check';

import { XdsError } from '../errors.ts';
import { EnrolmentSchema, ObjectSchema } from '../gen/ambit/mesh/v1/mesh_pb.ts';
import { decodeAddress, encodeAddress } from './address.ts';
import { decodeAuthorization, encodeAuthorization } from './authorization.ts';
import { decodeEnrolment, encodeEnrolment } from './enrolment.ts';
import { decodeObject, encodeObject } from './object.ts';
import { decodePod, encodePod } from './pod.ts';
import { L4_FULL, policy, SERVICE, WORKLOAD } from './testing-shapes.ts';

describe('pods', () => {
  const POD: PodFacts = {
    namespace: 'shop',
    name: 'cart-0',
    uid: 'b2c6',
    node: 'node1',
    serviceAccount: 'cart',
    mode: 'none',
    annotations: { 'ambient.istio.io/dns-capture': 'false' },
  };

  it('keep every field, and an absent mode', () => {
    assert.deepEqual(decodePod('shop/cart-0', encodePod(POD)), POD);
    const { mode: _, ...rest } = POD;
    assert.deepEqual(decodePod('shop/cart-0', encodePod(rest)), rest);
  });

  it('refuse another name, no service account and what is no message', () => {
    const refused: readonly (readonly [string, Uint8Array])[] = [
      ['shop/cart-1', encodePod(POD)],
      ['/cart-0', encodePod({ ...POD, namespace: '' })],
      ['shop/cart-0', encodePod({ ...POD, serviceAccount: '' })],
      ['shop/cart-0', new Uint8Array([255])],
    ];
    for (const [name, value] of refused) {
      assert.throws(() => decodePod(name, value), { code: 'XDS_RESOURCE_INVALID' }, name);
    }
  });
});

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
