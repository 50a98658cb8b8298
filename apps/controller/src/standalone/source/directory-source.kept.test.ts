/** What stays in force of objects that cannot be read or used any more. */
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { describe, it } from 'node:test';

import { BROKEN, INVALID, NAMESPACE, useFolders, View } from './directory-source.testing.ts';

const policy = (spec: string): string =>
  `apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: p, namespace: n}\nspec: ${spec}\n`;

describe('what DirectorySource keeps of objects', () => {
  const { at, sourceOf, sources, start, write } = useFolders();

  const TYPING_ERRORS: readonly (readonly [string, string])[] = [
    [
      'a kind',
      'apiVersion: security.istio.io/v1\nkind: AuthorizationPolcy\nmetadata: {name: one}\n',
    ],
    ['a name', 'apiVersion: v1\nkind: Namespace\nmetadata: {name: One}\n'],
    ['no name', 'apiVersion: v1\nkind: Namespace\nmetadata: {labels: {}}\n'],
    ['no kind', 'apiVersion: v1\nmetadata: {name: one}\n'],
  ];
  for (const [what, text] of TYPING_ERRORS) {
    it(`keeps an object that may have become another by a typing error: ${what}`, async () => {
      write('a/one.yaml', `${NAMESPACE('one')}---\n${NAMESPACE('two')}`);
      const view = await start('a');
      write('a/one.yaml', `${text}---\n${NAMESPACE('two', 'x')}`);
      await view.waitFor(() => view.objects.get('Namespace/two') === 'x', 'edited');
      assert.ok(view.objects.has('Namespace/one'));
      assert.equal(view.notes.get('Namespace/one'), 'OBJECT_KEPT');
      await sources[0]?.stop();
      const again = await start('a');
      assert.ok(again.objects.has('Namespace/one'), 'also for another process');
      write('a/one.yaml', `${text}---\n${NAMESPACE('two', 'y')}`);
      await again.waitFor(() => again.objects.get('Namespace/two') === 'y', 'edited again');
      assert.ok(again.objects.has('Namespace/one'), 'as long as it is not corrected');
      write('a/one.yaml', NAMESPACE('two'));
      await again.waitFor(() => !again.objects.has('Namespace/one'), 'corrected');
    });
  }

  it('keeps the objects of a file that cannot be read, and says so on each and on the file', async () => {
    write('a/x.yaml', NAMESPACE('x', '1'));
    const view = await start('a');
    write('a/x.yaml', `${NAMESPACE('x', '2')}---\n${BROKEN}`);
    await view.waitFor(() => view.refused.has('Namespace/x'), 'refused');
    assert.equal(view.objects.get('Namespace/x'), '1', 'nothing of a broken file counts');
    assert.match(view.refused.get('File/x.yaml') ?? '', /file x\.yaml cannot be read: line \d+/);
    write('a/x.yaml', NAMESPACE('x', '3'));
    await view.waitFor(() => view.objects.get('Namespace/x') === '3', 'repaired');
    assert.equal(view.refused.size, 0);
  });

  it('takes no policy that says of itself that it stands in', async () => {
    const key = 'AuthorizationPolicy/n/p';
    const claim = (spec: string): string =>
      policy(spec).replace(
        'namespace: n',
        'namespace: n, annotations: {ambit.io/stand-in: "true"}',
      );
    const allow = '{rules: [{from: [{source: {namespaces: [a]}}]}]}';
    write('a/p.yaml', policy(allow));
    const view = await start('a');
    write('a/p.yaml', claim('{action: DENY, rules: [{}, {}]}'));
    await view.waitFor(() => view.refused.has(key), 'refused');
    assert.equal(view.objects.get(key), 'ALLOW 1', 'the version before it');
    rmSync(at('a/p.yaml'));
    await view.waitFor(() => !view.objects.has(key), 'gone');
    write('a/p.yaml', claim(allow));
    await view.waitFor(() => view.objects.get(key) === 'stand-in ALLOW 0', 'stood in for');
  });

  it('keeps the version before an edit under the revision that is written now', async () => {
    const key = 'AuthorizationPolicy/n/p';
    write('a/p.yaml', policy('{action: DENY, rules: [{}]}'));
    const view = new View();
    const source = sourceOf(['a']);
    const revisions: unknown[] = [];
    const told: unknown[] = [];
    await source.start((change) => {
      for (const { metadata } of change.upserts) revisions.push(metadata.labels['istio.io/rev']);
      for (const { revision } of change.invalid) told.push(revision);
      view.take(change);
    });
    const edit = policy('{rulez: []}');
    write('a/p.yaml', edit.replace('namespace: n', 'namespace: n, labels: {istio.io/rev: x}'));
    await view.waitFor(() => view.refused.has(key), 'refused');
    assert.equal(view.objects.get(key), 'DENY 1');
    assert.deepEqual([revisions, told], [[undefined, 'x'], ['x']]);
  });

  it('stands in for a policy that was never accepted, until it is right, or gone, or refuses nothing', async () => {
    const key = 'AuthorizationPolicy/n/p';
    write('a/p.yaml', policy('{action: DENY, rulez: []}'));
    const view = await start('a');
    assert.equal(view.objects.get(key), 'stand-in DENY 1');
    assert.ok(view.refused.has(key));
    write('a/p.yaml', policy('{rulez: []}'));
    await view.waitFor(() => view.objects.get(key) === 'stand-in ALLOW 0', 'another meaning');
    write('a/p.yaml', policy('{action: AUDIT, rulez: []}'));
    await view.waitFor(() => !view.objects.has(key), 'AUDIT refuses nobody');
    assert.ok(view.refused.has(key));
    write('a/p.yaml', policy('{rulez: []}'));
    await view.waitFor(() => view.objects.has(key), 'again');
    write('a/p.yaml', policy('{action: DENY, rules: [{}]}'));
    await view.waitFor(() => view.objects.get(key) === 'DENY 1', 'right');
    assert.equal(view.refused.has(key), false);
    write('a/p.yaml', policy('{rulez: []}'));
    await view.waitFor(() => view.refused.has(key), 'an edit that is wrong');
    assert.equal(view.objects.get(key), 'DENY 1', 'the version before it');
    rmSync(at('a/p.yaml'));
    await view.waitFor(() => !view.objects.has(key) && !view.refused.has(key), 'deleted');
  });

  it('keeps over a restart what was in force of an object that cannot be used', async () => {
    const key = 'Namespace/x';
    write('a/x.yaml', NAMESPACE('x', '1'));
    await start('a');
    await sources.pop()?.stop();
    for (const restart of ['first', 'second']) {
      write('a/x.yaml', NAMESPACE('x', `2 ${restart}`));
      const view = new View();
      const source = sourceOf(['a']);
      await source.start((change) => {
        const [object] = change.upserts;
        assert.ok(object !== undefined);
        const before = source.acceptedBefore(object);
        assert.ok(before !== undefined, restart);
        view.take({ ...change, upserts: [before] });
        source.unusable(key, before);
      });
      assert.equal(view.objects.get(key), '1', restart);
      await source.stop();
    }
  });

  it('starts with the last good version of what is broken or refused now', async () => {
    write('a/broken.yaml', NAMESPACE('x', '1'));
    write('a/invalid.yaml', INVALID.replace('{ports: no}', '{ports: [{port: 80}]}'));
    const first = await start('a');
    assert.equal(first.objects.size, 2);
    await sources.pop()?.stop();
    write('a/broken.yaml', BROKEN);
    write('a/invalid.yaml', INVALID);
    const view = await start('a');
    assert.equal(view.objects.get('Namespace/x'), '1');
    assert.ok(view.objects.has('Service/n/s'));
    assert.deepEqual([...view.refused.keys()].sort(), [
      'File/broken.yaml',
      'Namespace/x',
      'Service/n/s',
    ]);
    await sources.pop()?.stop();
    rmSync(at('a/broken.yaml'));
    rmSync(at('a/invalid.yaml'));
    assert.equal((await start('a')).objects.size, 0, 'deleted is deleted');
  });
});
