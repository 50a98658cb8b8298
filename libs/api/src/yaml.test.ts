import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { formatFinding } from './format-finding.ts';
import { parseObject } from './parse-object.ts';
import { parseYaml } from './yaml.ts';

describe('parseYaml', () => {
  it('gives every document its line and every path its own', () => {
    const text = '# a\n\na: 1\n---\nspec:\n  http:\n  - timeout: 5\n    name: x\n---\n';
    const { documents, findings } = parseYaml(text, { source: 'x.yaml' });
    assert.deepEqual(findings, []);
    assert.deepEqual(
      documents.map(({ line }) => line),
      [3, 5],
    );
    assert.equal(documents[1]?.lineOf('spec.http[0].timeout'), 7);
    assert.equal(documents[1]?.lineOf('spec.http[0].route[3].weight'), 7);
    assert.equal(documents[1]?.lineOf(''), 5);
    assert.equal(documents[1]?.lineOf('nothing'), 5);
  });

  it('takes a List apart', () => {
    const text = 'kind: List\napiVersion: v1\nitems:\n- {kind: A}\n- kind: B\n  spec: 1\n';
    const { documents } = parseYaml(text, { source: 'x' });
    assert.deepEqual(
      documents.map(({ value, line }) => [value, line]),
      [
        [{ kind: 'A' }, 4],
        [{ kind: 'B', spec: 1 }, 5],
      ],
    );
    assert.equal(documents[1]?.lineOf('spec'), 6);
  });

  it('gives the items of a typed list their kind', () => {
    const text = 'kind: ServiceList\napiVersion: v1\nitems: [{metadata: {name: a}}]\n';
    const { documents } = parseYaml(text, { source: 'x' });
    assert.deepEqual(
      documents.map(({ value }) => value),
      [{ apiVersion: 'v1', kind: 'Service', metadata: { name: 'a' } }],
    );
  });

  it('reads JSON, anchors and merges', () => {
    const { documents } = parseYaml('{"a": [1, "2"]}\n---\na: &x {b: 1}\nc: {<<: *x, d: 2}\n', {
      source: 'x',
    });
    assert.deepEqual(
      documents.map(({ value }) => value),
      [{ a: [1, '2'] }, { a: { b: 1 }, c: { b: 1, d: 2 } }],
    );
  });

  it('keeps good documents beside a broken one, and says the line', () => {
    const { documents, findings } = parseYaml('a: 1\n---\nb: [\n---\nc: 3\n', { source: 'x' });
    assert.deepEqual(
      documents.map(({ value }) => value),
      [{ a: 1 }, { c: 3 }],
    );
    assert.equal(findings[0]?.code, 'YAML_SYNTAX');
    assert.ok((findings[0]?.line ?? 0) >= 3);
  });

  it('refuses a key written twice', () => {
    const { documents, findings } = parseYaml('a: 1\na: 2\n', { source: 'x' });
    assert.deepEqual(documents, []);
    assert.equal(findings[0]?.line, 2);
  });

  it('finds nothing in an empty text', () => {
    for (const text of ['', '---\n', '# only a comment\n']) {
      assert.deepEqual(parseYaml(text, { source: 'x' }).documents, [], text);
    }
  });
});

describe('formatFinding', () => {
  it('says where, what was found, what is allowed and the fix', () => {
    const text =
      'apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: a}\nspec:\n  hosts: [a]\n  http:\n  - timeout: 5\n    route: [{destination: {host: a}}]\n';
    const [document] = parseYaml(text, { source: 'shop.yaml' }).documents;
    const { findings, key } = parseObject(document?.value);
    const [finding] = findings;
    assert.ok(finding !== undefined);
    assert.equal(
      formatFinding(finding, { source: 'shop.yaml', line: document?.lineOf(finding.path), key }),
      'shop.yaml:7: error: VirtualService/default/a: spec.http[0].timeout is not a duration (found 5; allowed: a duration such as 5s, 100ms or 1m, at least 1ms, or 0s for off). Fix: give it a unit: 5s. [INVALID_DURATION]',
    );
  });

  it('does without everything that is not there', () => {
    assert.equal(
      formatFinding({ code: 'NO_EFFECT', severity: 'warning', path: '', message: 'does nothing' }),
      'warning: does nothing. [NO_EFFECT]',
    );
  });
});

describe('identification', () => {
  const codeOf = (value: unknown) => {
    const { findings, key } = parseObject(value);
    return [findings[0]?.severity, findings[0]?.code, findings[0]?.fix, key];
  };
  const metadata = { name: 'x', namespace: 'n' };
  const ROWS: readonly (readonly [unknown, readonly unknown[]])[] = [
    [null, ['error', 'NOT_AN_OBJECT', undefined, undefined]],
    [[], ['error', 'NOT_AN_OBJECT', undefined, undefined]],
    [{}, ['error', 'REQUIRED_FIELD', undefined, undefined]],
    [
      { apiVersion: 'v1', kind: 'ConfigMap', metadata },
      ['info', 'NOT_A_MESH_OBJECT', undefined, 'ConfigMap/n/x'],
    ],
    [
      { apiVersion: 'networking.istio.io/v1', kind: 'VirtualServise', metadata },
      ['error', 'UNKNOWN_KIND', 'did you mean VirtualService?', 'VirtualServise/n/x'],
    ],
    [
      {
        apiVersion: 'networking.istio.io/v2',
        kind: 'VirtualService',
        metadata,
        spec: { hosts: ['a'], tcp: [] },
      },
      ['error', 'UNSUPPORTED_VERSION', undefined, 'VirtualService/n/x'],
    ],
    [
      { apiVersion: 'security.istio.io/v1', kind: 'VirtualService', metadata },
      ['error', 'UNSUPPORTED_VERSION', undefined, 'VirtualService/n/x'],
    ],
    [
      { apiVersion: 'networking.istio.io/v1alpha3', kind: 'Sidecar', metadata },
      ['warning', 'UNSUPPORTED_KIND', undefined, 'Sidecar/n/x'],
    ],
    [
      { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'a', namespace: 'zzz' } },
      [undefined, undefined, undefined, 'Namespace/a'],
    ],
    [
      { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'A B' } },
      ['error', 'INVALID_NAME', undefined, 'Namespace/A B'],
    ],
    [{ apiVersion: 'v1', kind: 'Namespace' }, ['error', 'REQUIRED_FIELD', undefined, undefined]],
  ];
  for (const [value, says] of ROWS) {
    it(`says ${says.join(' ')}`, () => assert.deepEqual(codeOf(value), says));
  }

  it('keeps an unsupported kind with a condition', () => {
    const { unsupported, object } = parseObject({
      apiVersion: 'gateway.networking.k8s.io/v1',
      kind: 'TLSRoute',
      metadata,
    });
    assert.equal(object, undefined);
    assert.deepEqual(unsupported?.metadata, metadata);
    assert.equal(unsupported?.condition.reason, 'UnsupportedKind');
    assert.match(unsupported?.condition.message ?? '', /TCPRoute/);
  });

  it('takes the namespace of the context where none is written', () => {
    const { object, key } = parseObject(
      { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'a' } },
      { defaultNamespace: 'shop' },
    );
    assert.equal(object?.metadata.namespace, 'shop');
    assert.equal(key, 'ServiceAccount/shop/a');
  });
});
