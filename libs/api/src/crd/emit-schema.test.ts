import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as z from 'zod';
import {
  integer,
  leaf,
  listOf,
  mapOf,
  name,
  oneOf,
  renamed,
  reshape,
  text,
} from '../schema/build.ts';
import { type WireSchema, wireOf } from '../schema/wire.ts';
import { annotatedKinds, annotationsOf } from './annotations.ts';
import { CrdError, emitSchema } from './emit-schema.ts';

const KEEP = { 'x-kubernetes-preserve-unknown-fields': true } as const;

describe('emitSchema', () => {
  const ROWS: readonly (readonly [title: string, schema: z.ZodType, emitted: WireSchema])[] = [
    ['text', text, { type: 'string' }],
    ['a boolean', z.boolean(), { type: 'boolean' }],
    ['base64', z.base64(), { type: 'string', format: 'byte' }],
    ['a leaf', integer(1, 5), { type: 'integer', minimum: 1, maximum: 5 }],
    ['a choice', oneOf(['A', 'B']), { type: 'string', enum: ['A', 'B'] }],
    ['a list', listOf(name), { type: 'array', items: { type: 'string', minLength: 1 } }],
    [
      'a map, whose values may be empty',
      mapOf(text),
      { type: 'object', additionalProperties: { type: 'string', nullable: true } },
    ],
    [
      'what is read, not what it becomes',
      reshape<string, number>(text, Number, String),
      { type: 'string' },
    ],
    [
      'the names that people write',
      renamed({ wait: integer(0) }, { wait: 'waitMs' }),
      {
        type: 'object',
        properties: { wait: { type: 'integer', minimum: 0, maximum: 2 ** 31 - 1 } },
        required: ['wait'],
        ...KEEP,
      },
    ],
    [
      'fields that are optional, have a default, or are required',
      z.strictObject({ a: text.exactOptional(), b: z.boolean().default(true), c: text }),
      {
        type: 'object',
        properties: {
          a: { type: 'string', nullable: true },
          b: { type: 'boolean', description: 'Default: true.', nullable: true },
          c: { type: 'string' },
        },
        required: ['c'],
        ...KEEP,
      },
    ],
    [
      'a default of a choice, which may not be empty',
      z.strictObject({ a: oneOf(['A']).default('A') }),
      {
        type: 'object',
        properties: { a: { type: 'string', enum: ['A'], description: 'Default: A.' } },
        ...KEEP,
      },
    ],
  ];
  for (const [title, schema, emitted] of ROWS) {
    it(`emits ${title}`, () => assert.deepEqual(emitSchema(schema, 'x'), emitted));
  }

  const REFUSED: readonly (readonly [title: string, schema: z.ZodType, says: RegExp])[] = [
    ['a leaf that says nothing', leaf<string>(() => '', String), /^x: the leaf does not say/],
    ['an object that drops fields', z.object({ a: text }), /^x: an object must name all/],
    ['an object that keeps any', z.looseObject({ a: text }), /^x: an object must name all/],
    ['a union', z.union([text, z.boolean()]), /^x: nothing is known of union/],
    ['a literal', z.literal('a'), /^x: nothing is known of literal/],
    ['a number of zod', z.number(), /^x: nothing is known of number/],
    ['a check of zod', z.string().min(3), /^x: checks of zod/],
    ['a format of zod', z.email(), /^x: (checks|nothing)/],
    ['a bounded list of zod', z.array(text).max(2), /^x: checks of zod/],
    ['a map of choices', z.record(z.enum(['a']), text), /^x: keys of a map/],
    ['one far inside', z.strictObject({ a: z.array(z.int()) }), /^x\.a\[\]: /],
    ['anything', z.unknown(), /^x: nothing is known of unknown/],
  ];
  for (const [title, schema, says] of REFUSED) {
    it(`refuses ${title}`, () => {
      assert.throws(
        () => emitSchema(schema, 'x'),
        (error) => error instanceof CrdError && says.test(error.message),
      );
    });
  }

  it('tells places apart when annotating, each once', () => {
    const seen: string[] = [];
    const schema = z.strictObject({ a: listOf(z.strictObject({ b: mapOf(text) })) });
    emitSchema(schema, '', (path, emitted) => {
      seen.push(path);
      return emitted;
    });
    assert.deepEqual(seen, ['a[].b.*', 'a[].b', 'a[]', 'a', '']);
  });

  it('knows a leaf by itself, not by its wrapper', () => {
    assert.deepEqual(wireOf(name), { type: 'string', minLength: 1 });
    assert.equal(wireOf(name.exactOptional()), undefined);
  });
});

describe('annotationsOf', () => {
  it('names rows that met no place', () => {
    const [kind = ''] = annotatedKinds();
    const { annotate, assertUsed } = annotationsOf(kind);
    annotate('spec', {});
    assert.throws(assertUsed, CrdError);
  });

  it('leaves a kind without rows alone', () => {
    const { annotate, assertUsed } = annotationsOf('toString');
    const emitted: WireSchema = { type: 'string' };
    assert.equal(annotate('constructor', emitted), emitted);
    assertUsed();
  });
});
