import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { answer } from './fake-api-server.ts';
import { bed, isList, type Kept, until, widget } from './reflector.testing.ts';
import type { ReflectorEvent } from './reflector-store.ts';

describe('Reflector with objects that cannot be read', () => {
  it('reports each in a list and keeps the others', async () => {
    await using b = await bed({ objectBytesMax: 400 });
    b.server.put('widgets', widget('big', 'x'.repeat(500)));
    b.server.put('widgets', { metadata: { namespace: 'a', name: 'odd' } });
    b.reflector.start();
    await b.reflector.whenSynced();
    const expected = ['malformed a/big', 'malformed a/odd', 'added a/one', 'added a/two', 'synced'];
    assert.deepEqual([...b.told].sort(), [...expected].sort());
    assert.equal(b.reflector.health().malformed, 2);
  });

  it('keeps the last good version, and deletes it when the object goes', async () => {
    await using b = await bed({ objectBytesMax: 400 });
    b.reflector.start();
    await until(() => b.server.watchCount === 1);
    b.server.put('widgets', widget('one', 'x'.repeat(5000)));
    b.server.put('widgets', { metadata: { namespace: 'a', name: 'two' } });
    b.server.put('widgets', widget('three', 3));
    await until(() => b.told.includes('added a/three'));
    assert.deepEqual(b.told.slice(3), ['malformed a/one', 'malformed a/two', 'added a/three']);
    assert.deepEqual(b.reflector.get('a/one'), { name: 'one', size: 1 });
    b.server.delete('widgets', 'a/one');
    b.server.delete('widgets', 'a/two');
    await until(() => b.reflector.size === 1);
    assert.deepEqual(b.told.slice(6), ['deleted a/one', 'deleted a/two']);
    assert.equal(b.reflector.health().lists, 1);
  });

  it('keeps the last good version over a list', async () => {
    await using b = await bed({ objectBytesMax: 400 });
    b.reflector.start();
    await until(() => b.server.watchCount === 1);
    b.server.put('widgets', widget('one', 'x'.repeat(5000)));
    await until(() => b.told.includes('malformed a/one'));
    const status = { kind: 'Status', code: 410 };
    b.server.send('widgets', `${JSON.stringify({ type: 'ERROR', object: status })}\n`);
    await until(() => b.reflector.health().lists === 2);
    await until(() => b.server.watchCount === 1);
    assert.equal(b.told.filter((line) => line.startsWith('deleted')).length, 0);
    assert.deepEqual(b.reflector.get('a/one'), { name: 'one', size: 1 });
  });

  it('forgets what never could be read when it goes, in a watch or between lists', async () => {
    await using b = await bed({ objectBytesMax: 400 });
    b.server.put('widgets', widget('big', 'x'.repeat(500)));
    b.server.put('widgets', widget('other', 'x'.repeat(500)));
    b.reflector.start();
    await until(() => b.server.watchCount === 1);
    b.server.delete('widgets', 'a/big');
    await until(() => b.told.includes('forgotten a/big'));
    b.server.deleteSilently('widgets', 'a/other');
    b.server.send('widgets', 'not json\n');
    await until(() => b.told.includes('forgotten a/other'));
    assert.equal(b.told.filter((line) => line.startsWith('forgotten')).length, 2);
    assert.equal(b.reflector.size, 2);
  });

  it('says that a version can be read again, also if it is the last good one', async () => {
    const told: ReflectorEvent<Kept>[] = [];
    await using b = await bed({ objectBytesMax: 400, onEvent: (event) => told.push(event) });
    b.reflector.start();
    await until(() => b.server.watchCount === 1);
    const [{ metadata } = widget('one', 1)] = [b.server.get('widgets', 'a/one')];
    b.server.put('widgets', widget('one', 'x'.repeat(5000)));
    b.server.put('widgets', widget('one', 1));
    b.server.put('widgets', widget('one', 2));
    const updates = (): (readonly unknown[])[] =>
      told.flatMap((event) =>
        event.kind === 'updated' ? [[event.object.size, event.old.size, event.wasMalformed]] : [],
      );
    await until(() => updates().length === 2);
    assert.deepEqual(updates(), [
      [1, 1, true],
      [2, 1, false],
    ]);
    const event = { type: 'MODIFIED', object: { metadata, spec: { size: 'x'.repeat(5000) } } };
    b.server.send('widgets', `${JSON.stringify(event)}\n`);
    await until(() => told.at(-1)?.kind === 'malformed');
    b.server.send('widgets', `${JSON.stringify({ type: 'ERROR', object: { code: 410 } })}\n`);
    await until(() => updates().length === 3);
    assert.deepEqual(updates()[2], [2, 2, true], 'the version that it had before');
  });

  it('lists again after a line that names nothing', async () => {
    for (const line of [
      'not json',
      '{"type":"NEW","object":{}}',
      '{"type":"ADDED","object":{}}',
      '7',
    ]) {
      await using b = await bed();
      b.reflector.start();
      await until(() => b.server.watchCount === 1);
      b.server.deleteSilently('widgets', 'a/one');
      b.server.send('widgets', `${line}\n`);
      await until(() => b.told.includes('deleted a/one'));
      assert.deepEqual(b.told.slice(3), ['malformed ?', 'deleted a/one'], line);
    }
  });

  it('deletes nothing because of a list with an item that names nothing', async () => {
    await using b = await bed();
    b.reflector.start();
    await until(() => b.server.watchCount === 1);
    b.server.intercept = (request, response) => {
      if (isList(request)) {
        answer(response, 200, { metadata: { resourceVersion: '999' }, items: [{ metadata: {} }] });
        return true;
      }
      return false;
    };
    b.server.send('widgets', 'not json\n');
    await until(() => b.reflector.health().lists > 1 && b.server.watchCount === 1);
    assert.equal(b.reflector.size, 2);
  });

  it('refuses objects beyond its limit and keeps following the others', async () => {
    await using b = await bed({ objectsMax: 2 });
    b.server.put('widgets', widget('three', 3));
    b.reflector.start();
    await until(() => b.server.watchCount === 1);
    b.server.put('widgets', widget('four', 4));
    b.server.put('widgets', widget('one', 11));
    await until(() => b.told.includes('updated a/one'));
    assert.equal(b.reflector.size, 2);
    assert.deepEqual(
      b.told.filter((line) => line.startsWith('malformed')),
      ['malformed a/three', 'malformed a/four'],
    );
  });

  it('goes on when a listener throws', async () => {
    const told: string[] = [];
    await using b = await bed({
      onEvent: (event) => {
        told.push(event.kind);
        throw new Error('listener');
      },
    });
    b.reflector.start();
    await until(() => told.includes('synced'));
    assert.deepEqual(told, ['added', 'added', 'synced']);
  });

  it('leaves out what is not wanted, and deletes what is no longer', async () => {
    await using b = await bed({
      prune: ({ metadata, ...rest }) => {
        const { size } = rest['spec'] as { size: number };
        return size > 1 ? { name: metadata.name, size } : undefined;
      },
    });
    b.reflector.start();
    await until(() => b.server.watchCount === 1);
    b.server.put('widgets', widget('two', 0));
    b.server.put('widgets', widget('one', 5));
    await until(() => b.told.length === 4);
    assert.deepEqual(b.told, ['added a/two', 'synced', 'deleted a/two', 'added a/one']);
  });
});
