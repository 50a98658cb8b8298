import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parse } from 'yaml';
import { defaultValues } from './check-values.ts';
import { emitYaml } from './emit-yaml.ts';
import { resolve, toPlain } from './resolve.ts';
import {
  comment,
  ifGiven,
  join,
  json,
  type Node,
  not,
  orElse,
  releaseNamespace,
  SPREAD_KEY,
  spread,
  text,
  value,
  when,
} from './symbolic.ts';
import { type JsonMap, mergeValues } from './values.ts';

function plain(node: Node, values: JsonMap = {}): unknown {
  const context = {
    values: mergeValues(defaultValues(), values),
    namespace: 'mesh',
    service: 'meshctl',
  };
  const resolved = resolve(node, context);
  return resolved === undefined ? undefined : toPlain(resolved);
}

describe('resolve', () => {
  for (const [title, node, expected] of [
    ['a value', { a: value('hub') }, { a: 'ambit' }],
    ['a number as text', { a: text('agent.workers') }, { a: '0' }],
    ['joined texts', { a: join('x/', value('hub'), '.', releaseNamespace) }, { a: 'x/ambit.mesh' }],
    [
      'the second of an empty value',
      { a: orElse(value('rootNamespace'), releaseNamespace) },
      { a: 'mesh' },
    ],
    ['a condition that does not hold', { a: when(value('strictMtls'), 1), b: 2 }, { b: 2 }],
    ['its other branch', { a: when(value('strictMtls'), 1, 3) }, { a: 3 }],
    ['a negated condition', { a: when(not(value('strictMtls')), 1) }, { a: 1 }],
    ['an empty list as nothing', { a: ifGiven('controller.tolerations') }, {}],
    [
      'the items of a value in a list',
      { a: [1, spread('agent.tolerations')] },
      { a: [1, { operator: 'Exists' }] },
    ],
    [
      'the entries of a value in a map',
      { a: 'b', [SPREAD_KEY]: spread('monitoring.dashboard.labels') },
      { a: 'b', grafana_dashboard: '1' },
    ],
    [
      'JSON with sorted keys',
      { a: json('monitoring.dashboard.labels') },
      { a: '{"grafana_dashboard":"1"}' },
    ],
    ['no comment', { a: comment('why', [comment('because', 1)]) }, { a: [1] }],
  ] as const satisfies readonly (readonly [string, Node, unknown])[]) {
    it(`makes ${title}`, () => assert.deepEqual(plain(node), expected));
  }

  it('refuses a value that does not exist when it writes a template', () => {
    assert.throws(() => emitYaml({ a: value('no.such') }, 'template'), /no value "no\.such"/);
  });
});

describe('emitYaml', () => {
  const awkward = {
    words: ['yes', 'On', 'null', 'n', '1e6', '0x1', '', ' x', 'a: b', '#', '- x', '{{ x }}', 'ü'],
    'key with: colon': 1,
    empty: {},
    none: [],
    text: 'one\n\n  two {{legend}}\n',
    cut: 'one\ntwo',
    deep: [{ a: [{ b: { c: true } }], d: 'x' }, [1, 2].length],
  };

  it('writes what YAML 1.1 and 1.2 read back', () => {
    for (const version of ['1.1', '1.2'] as const) {
      assert.deepEqual(parse(emitYaml(awkward), { version }), awkward, version);
    }
  });

  it('keeps comments and escapes braces of its own in templates', () => {
    const written = emitYaml(
      { a: comment('first\nsecond', '{{x}}'), b: when(value('hub'), 1) },
      'template',
    );
    assert.equal(
      written,
      '# first\n# second\na: "{{ "{{" }}x{{ "}}" }}"\n{{- if .Values.hub }}\nb: 1\n{{- end }}\n',
    );
  });

  it('refuses a condition on the first entry of a map in a list', () => {
    assert.throws(() => emitYaml([{ a: when(value('hub'), 1) }], 'template'), /conditional/);
  });
});
