import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { rewriteDocument } from './dialect/rewrite.ts';
import { formatFinding } from './format-finding.ts';
import { parseObject } from './parse-object.ts';
import { supportedKinds } from './schema/kinds.ts';
import { serializeObject } from './serialize.ts';
import { SAMPLES } from './testing/samples.ts';
import { formatYaml, parseYaml } from './yaml.ts';

const sample = fc.constantFrom(...SAMPLES);

/** Values that fields of the schemas take, and their neighbours. */
const value = fc.oneof(
  fc.constantFrom<unknown>(
    '5s',
    '0s',
    '0.5ms',
    '1h30m',
    '10.0.0.0/8',
    '*',
    '',
    'reviews',
    '(?=a)',
    'x'.repeat(2000),
  ),
  fc.constantFrom<unknown>(0, 1, -1, 80, 503, 1.5, 70_000, 2 ** 40, true, false, null),
  fc.constantFrom<unknown>(
    {},
    [],
    [{}],
    [null],
    { exact: 'a' },
    { prefix: '' },
    { value: 3 },
    { number: 80 },
  ),
  fc.jsonValue({ maxDepth: 3 }),
);

/** Changes, removes or adds one value somewhere; `picks` choose the way down. */
function mutate(root: unknown, picks: readonly number[], replacement: unknown): unknown {
  const [pick = 0, ...rest] = picks;
  if (typeof root !== 'object' || root === null || picks.length === 0) return replacement;
  const keys = Object.keys(root);
  if (keys.length === 0) return replacement;
  const key = keys[pick % keys.length] ?? '';
  const child: unknown = Reflect.get(root, key);
  const changed = pick % 11 === 0 && rest.length < 2 ? undefined : mutate(child, rest, replacement);
  if (Array.isArray(root))
    return root.map((item: unknown, index) => (String(index) === key ? changed : item));
  return { ...root, [key]: changed };
}

const mutated = fc
  .tuple(
    sample,
    fc.array(fc.tuple(fc.array(fc.nat(), { minLength: 1, maxLength: 9 }), value), { maxLength: 3 }),
  )
  .map(([object, changes]) =>
    changes.reduce<unknown>(
      (root, [picks, replacement]) => mutate(root, picks, replacement),
      object,
    ),
  );

function checkRoundTrip(written: unknown): boolean {
  const { object, findings } = parseObject(written);
  for (const finding of findings) assert.ok(formatFinding(finding).length > 0);
  const hasError = findings.some(({ severity }) => severity === 'error');
  if (object === undefined) return false;
  assert.equal(hasError, false);
  const again = parseObject(serializeObject(object));
  assert.deepEqual(again.object, object, JSON.stringify(again.findings));
  return true;
}

describe('every kind', () => {
  for (const object of SAMPLES) {
    it(`parses and prints ${object['kind']} without loss`, () => {
      const { findings } = parseObject(object);
      assert.deepEqual(
        findings.filter(({ severity }) => severity === 'error'),
        [],
      );
      assert.ok(checkRoundTrip(object));
      const text = formatYaml(serializeObject(parseObject(object).object ?? assert.fail()));
      const [document] = parseYaml(text, { source: 'x' }).documents;
      assert.deepEqual(parseObject(document?.value).object, parseObject(object).object);
    });
  }

  it('has a sample', () => {
    const sampled = new Set(SAMPLES.map((object) => object['kind']));
    for (const { kind } of supportedKinds()) assert.ok(sampled.has(kind), kind);
  });
});

describe('parsing of anything', () => {
  it('never throws and loses nothing on changed objects', () => {
    let accepted = 0;
    fc.assert(
      fc.property(mutated, (written) => {
        if (checkRoundTrip(written)) accepted += 1;
      }),
      { numRuns: 2000 },
    );
    assert.ok(accepted > 200, `${accepted} of 2000 are still valid`);
  });

  it('never throws on arbitrary JSON below a known kind', () => {
    const kinds = supportedKinds().map(({ kind, group, versions }) => ({
      kind,
      apiVersion: group === '' ? (versions[0] ?? '') : `${group}/${versions[0]}`,
    }));
    const any = fc.oneof(fc.jsonValue(), fc.object({ maxDepth: 4 }), fc.anything());
    fc.assert(
      fc.property(fc.constantFrom(...kinds), any, any, (type, metadata, spec) => {
        parseObject({ ...type, metadata, spec, status: spec });
        parseObject({ ...type, metadata: { name: 'x' }, spec });
        parseObject(spec);
      }),
      { numRuns: 500 },
    );
  });

  it('never throws on arbitrary bytes or damaged YAML', () => {
    const bytes = fc
      .uint8Array({ maxLength: 300 })
      .map((data) => new TextDecoder('latin1').decode(data));
    const damaged = fc
      .tuple(mutated, fc.nat(), fc.nat({ max: 20 }), fc.string({ unit: 'binary', maxLength: 5 }))
      .map(([object, at, length, insert]) => {
        const text = formatYaml(object);
        const start = at % (text.length + 1);
        return text.slice(0, start) + insert + text.slice(start + length);
      });
    fc.assert(
      fc.property(fc.oneof(bytes, fc.string(), damaged), (text) => {
        const { documents } = parseYaml(text, { source: 'x' });
        for (const document of documents) {
          for (const { path } of parseObject(document.value).findings)
            assert.ok(document.lineOf(path) >= 1);
        }
        rewriteDocument(text);
      }),
      { numRuns: 300 },
    );
  });

  it('bounds what a cycle, depth or an alias bomb would cost', () => {
    const cycle: Record<string, unknown> = { apiVersion: 'v1', kind: 'Pod' };
    cycle['spec'] = cycle;
    assert.equal(parseObject(cycle).findings[0]?.code, 'OBJECT_LIMIT');
    const wide = { apiVersion: 'v1', kind: 'Pod', spec: Array.from({ length: 300_000 }, () => 1) };
    assert.equal(parseObject(wide).findings[0]?.code, 'OBJECT_LIMIT');
    const bomb = ['a: &a [x,x,x,x,x,x,x,x,x,x]'];
    for (let i = 0; i < 8; i += 1) {
      const [from, to] = ['abcdefghi'[i], 'abcdefghi'[i + 1]];
      bomb.push(`${to}: &${to} [${Array.from({ length: 10 }, () => `*${from}`).join(',')}]`);
    }
    assert.equal(parseYaml(bomb.join('\n'), { source: 'x' }).findings[0]?.code, 'YAML_LIMIT');
    const deep = parseYaml('['.repeat(100_000), { source: 'x' });
    assert.ok(deep.findings.length > 0);
    assert.equal(parseYaml('x'.repeat(9_000_000), { source: 'x' }).findings[0]?.code, 'YAML_LIMIT');
    assert.equal(
      parseYaml('a: 1\n---\n'.repeat(20_010), { source: 'x' }).findings[0]?.code,
      'YAML_LIMIT',
    );
  });
});
