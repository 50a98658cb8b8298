import assert from 'node:assert/strict';
import { readdirSync, readFileSync, realpathSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { parse, parseAllDocuments } from 'yaml';
import { chartFiles, NAMESPACE_DEFAULT, valuesTable } from './chart-files.ts';
import { defaultValues } from './check-values.ts';
import { renderNamespace, renderObjects } from './manifests.ts';

const ROOT = join(import.meta.dirname, '../../../..');
const MANIFESTS = join(ROOT, 'manifests');
const WRITE = 'run node tools/chart.ts';

describe('chart files', () => {
  for (const [path, text] of Object.entries(chartFiles())) {
    it(`${path} is as generated`, () => {
      assert.equal(readFileSync(join(MANIFESTS, path), 'utf8'), text, WRITE);
    });
  }

  it('are all that the chart has, and its CRDs are those of manifests/crds', () => {
    const chart = join(MANIFESTS, 'chart');
    const found = readdirSync(chart, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name).slice(MANIFESTS.length + 1));
    const wanted = Object.keys(chartFiles()).filter((path) => path.startsWith('chart/'));
    assert.deepEqual(found.filter((path) => !path.startsWith('chart/crds/')).sort(), wanted.sort());
    assert.equal(realpathSync(join(chart, 'crds')), realpathSync(join(MANIFESTS, 'crds')));
  });

  it('docs/install.md lists every value', () => {
    assert.ok(readFileSync(join(ROOT, 'docs/install.md'), 'utf8').includes(valuesTable()), WRITE);
  });

  it('values.yaml is the defaults', () => {
    assert.deepEqual(parse(chartFiles()['chart/values.yaml'] ?? ''), defaultValues());
  });

  it('install.yaml is the default profile', () => {
    const context = {
      values: defaultValues(),
      namespace: NAMESPACE_DEFAULT,
      service: 'meshctl',
    };
    const documents = parseAllDocuments(chartFiles()['install.yaml'] ?? '').map((one) =>
      one.toJS(),
    );
    assert.deepEqual(documents, [renderNamespace(context), ...renderObjects(context)]);
  });
});
