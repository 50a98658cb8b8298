import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { checkValues, defaultValues, formatValueProblem } from './check-values.ts';
import { PROFILE_NAMES, PROFILES } from './profiles.ts';
import { type JsonMap, mergeValues, parseSet, valueAt } from './values.ts';

describe('mergeValues', () => {
  it('merges maps, replaces lists, and takes away what is null', () => {
    const base = { a: { b: 1, c: [1, 2] }, d: 'x' };
    assert.deepEqual(mergeValues(base, { a: { c: [3] }, d: null }), { a: { b: 1, c: [3] } });
  });
});

describe('parseSet', () => {
  for (const [assignment, expected] of [
    ['a=1', { a: 1 }],
    ['a.b=c,d=true', { a: { b: 'c' }, d: true }],
    ['a={x,y}', { a: ['x', 'y'] }],
    ['a={}', { a: [] }],
    ['a=', { a: '' }],
    ['a=null', { a: null }],
    ['a\\.b=c\\,d', { 'a.b': 'c,d' }],
    ['a=b=c', { a: 'b=c' }],
    ['a=007', { a: '007' }],
    ['a=-5', { a: -5 }],
    ['a=1.5', { a: '1.5' }],
    ['a.b=1,a.b=2,a.c=3', { a: { b: 2, c: 3 } }],
  ] as const) {
    it(`reads ${assignment}`, () => assert.deepEqual(parseSet(assignment), expected));
  }

  for (const assignment of [
    '',
    'a',
    '=b',
    'a..b=c',
    '.a=1',
    'a.=1',
    'a[0]=1',
    'a=1,b',
    '__proto__.x=1',
    'a.constructor=1',
  ]) {
    it(`refuses "${assignment}"`, () => {
      assert.throws(() => parseSet(assignment), { name: 'UserError' });
    });
  }

  it('refuses or reads any text, and pollutes no prototype', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        try {
          parseSet(text);
        } catch (error) {
          assert.equal((error as Error).name, 'UserError');
        }
        assert.equal(Object.hasOwn(Object.prototype, 'x'), false);
      }),
    );
  });
});

describe('checkValues', () => {
  for (const name of PROFILE_NAMES) {
    it(`accepts profile ${name}`, () => {
      assert.deepEqual(checkValues(mergeValues(defaultValues(), PROFILES[name].values)), []);
    });
  }

  for (const [title, values, said] of [
    [
      'an unknown value',
      { controller: { replica: 2 } },
      /controller\.replica: found 2, allowed: controller\.replicas/,
    ],
    ['an unknown folder', { pilot: { env: {} } }, /pilot: found \{"env":\{\}\}/],
    ['no map where there are values', { controller: 3 }, /controller: found 3, allowed: a map/],
    [
      'too small a number',
      { controller: { replicas: 0 } },
      /found 0, allowed: a number from 1 to 20; .* leave it out for 2/,
    ],
    ['a number as text', { agent: { workers: '2' } }, /agent\.workers: found "2"/],
    ['half a thread', { agent: { workers: 1.5 } }, /agent\.workers: found 1\.5/],
    [
      'a text that is none of the allowed',
      { imagePullPolicy: 'Sometimes' },
      /Always, IfNotPresent, Never/,
    ],
    ['a relative folder', { cni: { binDir: 'bin' } }, /cni\.binDir: found "bin"/],
    ['a name in capitals', { revision: 'Canary' }, /revision: found "Canary"/],
    ['a flag as text', { taint: { enabled: 'yes' } }, /true or false/],
    ['a list of texts', { agent: { tolerations: ['all'] } }, /a list of maps/],
    ['a list where a map is wanted', { agent: { resources: [] } }, /allowed: a map/],
  ] as const satisfies readonly (readonly [string, JsonMap, RegExp])[]) {
    it(`refuses ${title}`, () => {
      const problems = checkValues(mergeValues(defaultValues(), values));
      assert.equal(problems.length, 1);
      assert.match(problems.map(formatValueProblem).join(), said);
    });
  }

  it('has a default for every value that profiles set', () => {
    const paths = (map: JsonMap, prefix = ''): string[] =>
      Object.entries(map).flatMap(([key, found]) =>
        typeof found === 'object' && found !== null && !Array.isArray(found)
          ? paths(found as JsonMap, `${prefix}${key}.`)
          : [`${prefix}${key}`],
      );
    for (const name of PROFILE_NAMES) {
      for (const path of paths(PROFILES[name].values)) {
        assert.notEqual(valueAt(defaultValues(), path), undefined, path);
      }
    }
  });
});
