import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseObject } from '../parse-object.ts';
import { supportedKinds } from '../schema/kinds.ts';
import { SAMPLES } from '../testing/samples.ts';

const ANYWHERE = 'ambit.io/stand-in-anywhere';
const STAND_IN = 'ambit.io/stand-in';

function annotated(kind: string, annotations: object) {
  const sample = SAMPLES.find((object) => object['kind'] === kind);
  assert.ok(sample, kind);
  const { metadata } = sample;
  assert.ok(typeof metadata === 'object' && metadata !== null);
  return parseObject({ ...sample, metadata: { ...metadata, annotations } });
}

describe('annotations of what stands in', () => {
  for (const { kind, isMeshKind } of supportedKinds()) {
    if (!isMeshKind) continue;
    it(`are refused on ${kind}, with any value`, () => {
      for (const name of [STAND_IN, ANYWHERE]) {
        for (const value of ['true', 'false', '']) {
          const { object, findings } = annotated(kind, { [name]: value });
          assert.equal(object, undefined);
          const [{ code, path, found, fix } = {}] = findings;
          const expected = [
            'RESERVED_ANNOTATION',
            `metadata.annotations["${name}"]`,
            JSON.stringify(value),
          ];
          assert.deepEqual([code, path, found], expected);
          assert.equal(fix, 'remove it');
        }
      }
    });
  }

  for (const [title, kind, annotations] of [
    ['another annotation of the mesh', 'AuthorizationPolicy', { 'istio.io/dry-run': 'true' }],
    ['one that only begins so', 'AuthorizationPolicy', { 'ambit.io/stand-in-for': 'x' }],
    ['one of somebody else', 'VirtualService', { 'example.com/stand-in': 'true' }],
    ['where they mean nothing', 'Pod', { [STAND_IN]: 'true', [ANYWHERE]: 'true' }],
  ] as const) {
    it(`are not meant by ${title}`, () => {
      assert.ok(annotated(kind, annotations).object !== undefined);
    });
  }
});
