import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { manifestFiles, readManifests } from './manifests.ts';

const service = (name: string, port: number): string =>
  `{apiVersion: v1, kind: Service, metadata: {name: ${name}}, spec: {ports: [{port: ${port}}]}}\n`;

describe('readManifests', () => {
  let one: string;
  let two: string;
  before(() => {
    one = mkdtempSync(join(tmpdir(), 'ambit-manifests-'));
    two = mkdtempSync(join(tmpdir(), 'ambit-manifests-'));
    writeFileSync(join(one, 'a.yaml'), `${service('web', 80)}---\n---\n${service('api', 81)}`);
    writeFileSync(join(one, 'b.yml'), `kind: List\nitems:\n  - ${service('listed', 82)}`);
    mkdirSync(join(one, 'c'));
    writeFileSync(
      join(one, 'c', 'deeper.yaml'),
      '{apiVersion: v1, kind: Namespace, metadata: {name: shop}}',
    );
    mkdirSync(join(one, 'node_modules'));
    writeFileSync(join(one, 'node_modules', 'x.yaml'), service('module', 1));
    writeFileSync(join(one, 'c.json'), '{}');
    writeFileSync(
      join(one, 'd.yaml'),
      `${service('bad', 700_000)}---\na: [\n---\n${service('good', 83)}`,
    );
    writeFileSync(
      join(one, 'e.yaml'),
      '{apiVersion: x/v1, kind: VirtualService, metadata: {name: x}}',
    );
    writeFileSync(join(one, 'notes.txt'), service('text', 1));
    writeFileSync(join(one, '.hidden.yaml'), service('hidden', 1));
    writeFileSync(join(two, 'a.yaml'), service('web', 90));
  });
  after(() => {
    rmSync(one, { recursive: true });
    rmSync(two, { recursive: true });
  });

  it('reads every document of every YAML file, in folders of folders and lists', () => {
    const { manifests } = readManifests([one]);
    assert.deepEqual([...manifests.keys()].sort(), [
      'Namespace/shop',
      'Service/default/api',
      'Service/default/good',
      'Service/default/listed',
      'Service/default/web',
    ]);
  });

  it('lets a later folder replace an object', () => {
    const object = readManifests([one, two]).manifests.get('Service/default/web')?.object;
    assert.equal(object?.kind === 'Service' && object.spec.ports[0]?.port, 90);
  });

  it('names the file and the path of what is wrong, and reads the rest of the file', () => {
    const { problems } = readManifests([one]);
    assert.equal(problems.length, 2);
    assert.ok(problems.every(({ file }) => file.endsWith('d.yaml')));
    assert.match(problems[0]?.message ?? '', /spec\.ports\[0\]\.port/);
  });

  it('has nothing where there is no folder, and takes a single file', () => {
    assert.deepEqual(manifestFiles(join(one, 'absent')), []);
    assert.deepEqual(manifestFiles(join(two, 'a.yaml')), [join(two, 'a.yaml')]);
  });
});
