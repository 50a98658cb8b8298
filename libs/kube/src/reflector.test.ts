import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { answer, fail } from './fake-api-server.ts';
import { bed, isList, until, widget } from './reflector.testing.ts';

describe('Reflector', () => {
  it('lists, tells the world once, and follows changes', async () => {
    await using b = await bed();
    b.reflector.start();
    await b.reflector.whenSynced();
    assert.deepEqual(b.told, ['added a/one', 'added a/two', 'synced']);
    assert.deepEqual(b.reflector.get('a/one'), { name: 'one', size: 1 });
    await until(() => b.server.watchCount === 1);
    b.server.put('widgets', widget('one', 10));
    b.server.put('widgets', widget('three', 3));
    b.server.delete('widgets', 'a/two');
    await until(() => b.told.length === 6);
    assert.deepEqual(b.told.slice(3), ['updated a/one', 'added a/three', 'deleted a/two']);
    assert.equal(b.reflector.health().state, 'watching');
    assert.equal(b.reflector.health().lists, 1);
  });

  it('reads a list in pages of one version', async () => {
    await using b = await bed({ pageSize: 2 });
    for (let i = 0; i < 5; i += 1) {
      b.server.put('widgets', widget(`w${i}`, i));
    }
    b.reflector.start();
    await b.reflector.whenSynced();
    assert.equal(b.reflector.size, 7);
    assert.equal(b.server.requests.filter(isList).length, 4);
  });

  it('goes on after a normal end without a list and without waiting', async () => {
    await using b = await bed({ backoff: { initialMs: 1e8, maxMs: 1e8, jitter: 0 } });
    b.reflector.start();
    await until(() => b.server.watchCount === 1);
    b.server.bookmark('widgets');
    b.server.endWatches('widgets', 'close');
    b.server.put('widgets', widget('three', 3));
    await until(() => b.told.includes('added a/three'));
    assert.equal(b.reflector.health().lists, 1);
  });

  it('goes on from the last version after a broken connection', async () => {
    await using b = await bed();
    b.reflector.start();
    await until(() => b.server.watchCount === 1);
    b.server.endWatches('widgets', 'reset');
    b.server.put('widgets', widget('three', 3));
    await until(() => b.told.includes('added a/three'));
    assert.equal(b.reflector.health().lists, 1);
    assert.equal(b.reflector.health().lastError, undefined);
  });

  it('takes a silent watch for dead and connects again', async () => {
    await using b = await bed({ stallMs: 30 });
    let swallowed = 0;
    b.server.intercept = (request, response) => {
      if (!request.isWatch || swallowed > 0) {
        return false;
      }
      swallowed += 1;
      response.writeHead(200).flushHeaders();
      return true;
    };
    b.reflector.start();
    await until(() => swallowed === 1);
    b.server.put('widgets', widget('three', 3));
    await until(() => b.told.includes('added a/three'));
    assert.equal(b.reflector.health().lists, 1);
  });

  it('lists again where the server was put back to an earlier state', async () => {
    for (const way of ['silence', 'refusal']) {
      await using b = await bed({ stallMs: 30 });
      b.reflector.start();
      await until(() => b.server.watchCount === 1);
      b.server.deleteSilently('widgets', 'a/one');
      const listed = b.server.requests.filter(isList).length;
      b.server.intercept = (request, response) => {
        if (!request.isWatch || b.server.requests.filter(isList).length > listed) return false;
        if (way === 'silence') {
          response.writeHead(200).flushHeaders();
        } else {
          const causes = [{ reason: 'ResourceVersionTooLarge', message: 'Too large' }];
          answer(response, 504, { kind: 'Status', reason: 'Timeout', details: { causes } });
        }
        return true;
      };
      b.server.endWatches('widgets', 'close');
      await until(() => b.told.includes('deleted a/one'));
      assert.equal(b.reflector.health().lists, 2, way);
    }
  });

  it('lists again after 410, and tells only the difference', async () => {
    await using b = await bed();
    b.reflector.start();
    await until(() => b.server.watchCount === 1);
    b.server.deleteSilently('widgets', 'a/one');
    b.server.intercept = (request, response) => {
      if (request.isWatch) {
        b.server.intercept = () => false;
        fail(response, 410, 'Expired');
        return true;
      }
      return false;
    };
    b.server.endWatches('widgets', 'close');
    await until(() => b.told.includes('deleted a/one'));
    assert.deepEqual(b.told.slice(3), ['deleted a/one']);
    assert.equal(b.reflector.health().lists, 2);
  });

  // A restored etcd counts on from its backup: it comes to versions that were seen before, of other objects.
  it('sees other content under a version that it has, once it lists again', async () => {
    await using b = await bed();
    b.reflector.start();
    await until(() => b.server.watchCount === 1);
    const before = b.reflector.identityOf('a/one');
    b.server.restore('widgets', widget('one', 11));
    const status = { kind: 'Status', code: 410, reason: 'Expired', message: 'x' };
    b.server.send('widgets', `${JSON.stringify({ type: 'ERROR', object: status })}\n`);
    await until(() => b.reflector.get('a/one')?.size === 11);
    assert.deepEqual(b.reflector.identityOf('a/one'), before);
    assert.deepEqual(b.told.slice(3), ['updated a/one']);
  });

  it('lists again after an ERROR event of any kind', async () => {
    for (const code of [410, 500]) {
      await using b = await bed();
      b.reflector.start();
      await until(() => b.server.watchCount === 1);
      const status = { kind: 'Status', code, reason: 'X', message: 'x' };
      b.server.deleteSilently('widgets', 'a/two');
      b.server.send('widgets', `${JSON.stringify({ type: 'ERROR', object: status })}\n`);
      await until(() => b.told.includes('deleted a/two'));
      assert.equal(b.reflector.health().lists, 2, `code ${code}`);
    }
  });

  it('tells nothing twice', async () => {
    await using b = await bed();
    b.reflector.start();
    await until(() => b.server.watchCount === 1);
    const object = b.server.get('widgets', 'a/one');
    b.server.send('widgets', `${JSON.stringify({ type: 'MODIFIED', object })}\n`);
    b.server.put('widgets', widget('three', 3));
    await until(() => b.told.includes('added a/three'));
    assert.deepEqual(b.told.slice(3), ['added a/three']);
  });

  it('stops at once while the server answers nothing', async () => {
    for (const path of ['/apis', '/widgets', 'watch']) {
      await using b = await bed();
      let asked = 0;
      b.server.intercept = (request) => {
        const isHit = path === 'watch' ? request.isWatch : request.url.pathname.endsWith(path);
        asked += isHit ? 1 : 0;
        return isHit;
      };
      b.reflector.start();
      await until(() => asked > 0);
      await b.reflector.stop();
      assert.equal(b.reflector.health().state, 'stopped', path);
    }
  });

  it('tells a deletion and an addition when an object was made again meanwhile', async () => {
    await using b = await bed();
    b.reflector.start();
    await until(() => b.server.watchCount === 1);
    b.server.deleteSilently('widgets', 'a/one');
    b.server.endWatches('widgets', 'reset');
    b.server.put('widgets', widget('one', 7));
    await until(() => b.reflector.get('a/one')?.size === 7);
    assert.deepEqual(b.told.slice(3), ['deleted a/one', 'added a/one']);
  });
});
