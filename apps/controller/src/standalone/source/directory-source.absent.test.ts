/** Folders that are not there, at the start and later. */
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { describe, it } from 'node:test';

import { systemClock } from '@ambit/core';
import { until } from '../../until.testing.ts';
import { BROKEN, NAMESPACE, useFolders, View } from './directory-source.testing.ts';

describe('DirectorySource without a folder', () => {
  const { at, sourceOf, sources, start, write } = useFolders();

  it('keeps what a folder had while the folder itself is gone', async () => {
    write('a/one.yaml', NAMESPACE('one'));
    write('b/two.yaml', NAMESPACE('two'));
    const view = await start('a', 'b');
    renameSync(at('a'), at('elsewhere'));
    write('b/two.yaml', NAMESPACE('two', 'x'));
    await view.waitFor(() => view.objects.get('Namespace/two') === 'x', 'the other folder');
    assert.ok(view.objects.has('Namespace/one'));
    write('elsewhere/one.yaml', NAMESPACE('one', 'y'));
    renameSync(at('elsewhere'), at('a'));
    await view.waitFor(() => view.objects.get('Namespace/one') === 'y', 'back');
    rmSync(at('a'), { recursive: true });
    mkdirSync(at('a'));
    await view.waitFor(() => !view.objects.has('Namespace/one'), 'there and empty');
    assert.ok(view.objects.has('Namespace/two'));
  });

  describe('while a folder is not there when it starts', () => {
    /** Not awaited: it loads when the folder comes. */
    const waiting = (...folders: readonly string[]) => {
      const view = new View();
      const problems: (readonly string[])[] = [];
      const source = sourceOf(folders);
      const state = { isLoaded: false };
      const loading = source
        .start(
          (change) => view.take(change),
          (found) => problems.push(found),
        )
        .then(() => {
          state.isLoaded = true;
        });
      return { view, problems, source, loading, state };
    };

    it('says so, and loads when it comes and nobody fills it any more', async () => {
      const { view, problems, loading } = waiting('late');
      await until(
        () => Promise.resolve(problems.length > 0),
        () => 'no problem is told',
      );
      assert.deepEqual(problems, [[`folder ${at('late')} is not there`]]);
      assert.equal(view.objects.size, 0);
      write('late/x.yaml', NAMESPACE('x'));
      await loading;
      assert.ok(view.objects.has('Namespace/x'));
      assert.deepEqual(problems.at(-1), []);
    });

    // It loaded an empty mesh, and every proxy lost what it had.
    it('keeps what was accepted last, whole, and forgets what did not come back', async () => {
      write('a/one.yaml', `${NAMESPACE('one', 'old')}---\n${NAMESPACE('two')}`);
      write('b/three.yaml', NAMESPACE('three'));
      await start('a', 'b');
      await sources[0]?.stop();
      const accepted = readFileSync(at('accepted.json'), 'utf8');
      renameSync(at('a'), at('elsewhere'));
      const { view, loading, state } = waiting('a', 'b');
      await view.waitFor(() => view.objects.size === 3, 'what was accepted last');
      await systemClock.sleep(1_200);
      assert.equal(state.isLoaded, false);
      assert.equal(readFileSync(at('accepted.json'), 'utf8'), accepted);
      write('elsewhere/one.yaml', NAMESPACE('one', 'new'));
      renameSync(at('elsewhere'), at('a'));
      await loading;
      assert.deepEqual([...view.objects.keys()].sort(), ['Namespace/one', 'Namespace/three']);
      assert.equal(view.objects.get('Namespace/one'), 'new');
    });

    it('falls back to the last good version of a file that comes back broken', async () => {
      write('a/one.yaml', NAMESPACE('one', 'good'));
      await start('a');
      await sources[0]?.stop();
      rmSync(at('a'), { recursive: true });
      const { view, loading } = waiting('a');
      await view.waitFor(() => view.objects.size === 1, 'what was accepted last');
      write('a/one.yaml', BROKEN);
      await loading;
      assert.equal(view.objects.get('Namespace/one'), 'good');
      assert.ok(view.refused.has('Namespace/one'));
    });

    it('does not take a file or a folder that cannot be read for an empty folder', async () => {
      write('file', '');
      symlinkSync('loop', at('loop'));
      const { problems, source, loading, state } = waiting('file', 'loop');
      await until(
        () => Promise.resolve(problems.length > 0),
        () => 'no problem is told',
      );
      assert.match(problems[0]?.[0] ?? '', /\/file is no folder$/);
      assert.match(problems[0]?.[1] ?? '', /\/loop cannot be read: ELOOP/);
      await source.stop();
      await loading;
      assert.equal(state.isLoaded, true, 'stopping ends the wait');
    });
  });
});
