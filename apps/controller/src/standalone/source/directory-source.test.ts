import assert from 'node:assert/strict';
import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { describe, it } from 'node:test';

import { INVALID, NAMESPACE, useFolders } from './directory-source.testing.ts';

describe('DirectorySource', () => {
  const { at, start, write } = useFolders();

  it('takes an object for deleted beside one that was refused before', async () => {
    write('a/one.yaml', `${NAMESPACE('one')}---\n${INVALID}`);
    const view = await start('a');
    write('a/one.yaml', INVALID);
    await view.waitFor(() => !view.objects.has('Namespace/one'), 'deleted');
  });

  it('has delivered what exists when start resolves, from folders below too', async () => {
    write('a/one.yaml', `${NAMESPACE('one')}---\n${NAMESPACE('two')}`);
    write('a/deep/er/three.yml', NAMESPACE('three'));
    write('a/.hidden/no.yaml', NAMESPACE('no'));
    write('a/node_modules/no.yaml', NAMESPACE('no'));
    write('a/readme.md', 'kind: Namespace');
    symlinkSync(at('a'), at('a', 'loop'));
    const view = await start('a');
    assert.deepEqual([...view.objects.keys()].sort(), [
      'Namespace/one',
      'Namespace/three',
      'Namespace/two',
    ]);
    assert.equal(view.changes, 1);
  });

  it('sees a file that is added, changed, moved and deleted', async () => {
    mkdirSync(at('a'));
    const view = await start('a');
    write('a/x.yaml', NAMESPACE('x', '1'));
    await view.waitFor(() => view.objects.get('Namespace/x') === '1', 'added');
    write('a/x.yaml', NAMESPACE('x', '2'));
    await view.waitFor(() => view.objects.get('Namespace/x') === '2', 'changed');
    renameSync(at('a/x.yaml'), at('a/y.yaml'));
    write('a/z.yaml', NAMESPACE('z'));
    await view.waitFor(() => view.objects.has('Namespace/z'), 'moved');
    assert.equal(view.objects.get('Namespace/x'), '2');
    rmSync(at('a/y.yaml'));
    await view.waitFor(() => !view.objects.has('Namespace/x'), 'deleted');
  });

  it('takes objects of a later folder before those of an earlier one, and goes back', async () => {
    write('a/x.yaml', NAMESPACE('x', 'user'));
    write('b/x.yaml', NAMESPACE('x', 'cluster'));
    const view = await start('a', 'b');
    assert.equal(view.objects.get('Namespace/x'), 'cluster');
    rmSync(at('b/x.yaml'));
    await view.waitFor(() => view.objects.get('Namespace/x') === 'user', 'the earlier folder');
  });

  it('uses the first of two in one folder, and warns', async () => {
    write('a/1.yaml', NAMESPACE('x', 'first'));
    write('a/2.yaml', NAMESPACE('x', 'second'));
    const view = await start('a');
    assert.equal(view.objects.get('Namespace/x'), 'first');
    assert.equal(view.notes.get('Namespace/x'), 'DUPLICATE_OBJECT');
    rmSync(at('a/1.yaml'));
    await view.waitFor(() => view.objects.get('Namespace/x') === 'second', 'the second');
    assert.equal(view.notes.get('Namespace/x'), '');
  });

  it('refuses an invalid object alone', async () => {
    write('a/x.yaml', `${NAMESPACE('x')}---\n${INVALID}---\n${NAMESPACE('y')}`);
    const view = await start('a');
    assert.deepEqual([...view.objects.keys()], ['Namespace/x', 'Namespace/y']);
    assert.deepEqual([...view.refused.keys()], ['Service/n/s']);
  });

  it('names the file for what has no name', async () => {
    write('a/x.yaml', 'apiVersion: v1\nkind: Namespace\nmetadata: {}\n');
    const view = await start('a');
    assert.match(view.refused.get('File/x.yaml') ?? '', /line 1/);
  });

  it('shows kinds that are not served, and passes over what is not of the mesh', async () => {
    const meta = 'metadata: {name: x, namespace: n}\n';
    write(
      'a/x.yaml',
      `apiVersion: networking.istio.io/v1\nkind: EnvoyFilter\n${meta}spec: {}\n---\napiVersion: v1\nkind: ConfigMap\n${meta}`,
    );
    const view = await start('a');
    assert.deepEqual([...view.unsupported], ['EnvoyFilter/n/x']);
    assert.equal(view.objects.size + view.refused.size, 0);
  });

  it('does not take a file that is being written for an empty one', async () => {
    write('a/x.yaml', NAMESPACE('x', '1'));
    const view = await start('a');
    writeFileSync(at('a/x.yaml'), '');
    write('a/y.yaml', NAMESPACE('y'));
    await view.waitFor(() => view.objects.has('Namespace/y'), 'a later change');
    assert.equal(view.objects.get('Namespace/x'), '1');
    writeFileSync(at('a/x.yaml'), NAMESPACE('x', '2'));
    await view.waitFor(() => view.objects.get('Namespace/x') === '2', 'written');
    writeFileSync(at('a/x.yaml'), '');
    await view.waitFor(() => !view.objects.has('Namespace/x'), 'empty for good');
  });
});
