import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { answer, fail } from './fake-api-server.ts';
import { bed, until, WIDGETS, widget } from './reflector.testing.ts';

const isList = (request: { url: URL; isWatch: boolean; method: string }): boolean =>
  !request.isWatch && request.url.pathname.endsWith('/widgets');

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

describe('Reflector with a list that fails', () => {
  const failures: Readonly<Record<string, Parameters<typeof failFirstLists>[1]>> = {
    'a 500': (response) => fail(response, 500, 'InternalError'),
    'a 403': (response) => fail(response, 403, 'Forbidden'),
    'a body cut in the middle of an item': (response) => {
      response.writeHead(200, { 'content-length': '5000' });
      response.write('{"metadata":{"resourceVersion":"1"},"items":[{"metadata":{"name":"x"');
      response.destroy();
    },
    'a body that ends too early': (response) => {
      response.writeHead(200);
      response.end('{"metadata":{"resourceVersion":"1"},"items":[');
    },
    'an empty object': (response) => answer(response, 200, {}),
    'an empty body': (response) => answer(response, 200, undefined),
    'a page of a proxy': (response) => response.writeHead(200).end('<html>busy</html>'),
    'an item that is no object': (response) =>
      answer(response, 200, { metadata: { resourceVersion: '1' }, items: [7] }),
  };

  function failFirstLists(
    server: Awaited<ReturnType<typeof bed>>['server'],
    respond: (response: import('node:http').ServerResponse) => void,
  ): void {
    let failed = 0;
    server.intercept = (request, response) => {
      if (request.isWatch && failed < 3) {
        fail(response, 410, 'Expired');
        return true;
      }
      if (isList(request) && failed < 3) {
        failed += 1;
        respond(response);
        return true;
      }
      return false;
    };
  }

  for (const [name, respond] of Object.entries(failures)) {
    it(`keeps the world after ${name}, and recovers`, async () => {
      await using b = await bed();
      b.reflector.start();
      await until(() => b.server.watchCount === 1);
      b.server.deleteSilently('widgets', 'a/one');
      failFirstLists(b.server, respond);
      b.server.endWatches('widgets', 'reset');
      await until(() => b.told.includes('deleted a/one'));
      assert.deepEqual(b.told.slice(3), ['deleted a/one']);
      assert.deepEqual(b.reflector.get('a/two'), { name: 'two', size: 2 });
    });
  }

  it('keeps the world after the second page fails', async () => {
    await using b = await bed({ pageSize: 1 });
    b.reflector.start();
    await until(() => b.server.watchCount === 1);
    let fails = 0;
    b.server.intercept = (request, response) => {
      if (request.isWatch && fails < 2) {
        fail(response, 410, 'Expired');
        return true;
      }
      if (request.url.searchParams.has('continue') && fails < 2) {
        fails += 1;
        response.destroy();
        return true;
      }
      return false;
    };
    b.server.endWatches('widgets', 'reset');
    await until(() => fails === 2 && b.server.watchCount === 1);
    assert.equal(b.told.length, 3);
    assert.equal(b.reflector.size, 2);
  });

  it('asks for the whole when the version of its pages is forgotten', async () => {
    await using b = await bed({ pageSize: 1 });
    let gone = 0;
    b.server.intercept = (request, response) => {
      if (request.url.searchParams.has('continue')) {
        gone += 1;
        fail(response, 410, 'Expired');
        return true;
      }
      return false;
    };
    b.reflector.start();
    await b.reflector.whenSynced();
    assert.equal(gone, 1);
    assert.deepEqual(b.told, ['added a/one', 'added a/two', 'synced']);
  });
});

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

describe('Reflector of a kind that comes and goes', () => {
  it('is synced without it, starts when it appears, and empties when it goes', async () => {
    await using b = await bed({ kinds: [] });
    b.discovery.start();
    b.reflector.start();
    await b.reflector.whenSynced();
    assert.equal(b.reflector.health().state, 'absent');
    b.server.setKinds([WIDGETS]);
    await until(() => b.reflector.size === 2);
    await until(() => b.server.watchCount === 1);
    b.server.setKinds([]);
    b.server.endWatches('widgets', 'close');
    await until(() => b.reflector.size === 0);
    await until(() => b.reflector.health().state === 'absent');
    assert.deepEqual(b.told.slice(1), [
      'added a/one',
      'added a/two',
      'deleted a/one',
      'deleted a/two',
    ]);
  });

  it('keeps the world while only discovery has lost the kind', async () => {
    await using b = await bed();
    b.reflector.start();
    await until(() => b.server.watchCount === 1);
    b.server.intercept = (request, response) => {
      if (request.url.pathname === '/apis') {
        answer(response, 200, { kind: 'APIGroupDiscoveryList', items: [] });
        return true;
      }
      return false;
    };
    await b.discovery.refresh();
    b.server.send('widgets', 'not json\n');
    await until(() => (b.reflector.health().lastError ?? '').includes('which can be listed'));
    assert.equal(b.reflector.size, 2);
  });

  it('is not synced while only discovery does not name the kind yet', async () => {
    await using b = await bed();
    let asked = 0;
    b.server.intercept = (request, response) => {
      if (request.url.pathname === '/apis' && asked < 4) {
        asked += 1;
        answer(response, 200, { kind: 'APIGroupDiscoveryList', items: [] });
        return true;
      }
      return false;
    };
    b.reflector.start();
    await until(() => asked === 3);
    assert.equal(b.reflector.health().isSynced, false);
    await b.reflector.whenSynced();
    assert.deepEqual(b.told, ['added a/one', 'added a/two', 'synced']);
  });

  it('is not synced while the server cannot say that there is no such kind', async () => {
    await using b = await bed({ kinds: [] });
    let asked = 0;
    b.server.intercept = (request, response) => {
      if (isList(request) && asked < 3) {
        asked += 1;
        fail(response, asked === 1 ? 503 : 403, 'ServiceUnavailable');
        return true;
      }
      return false;
    };
    b.reflector.start();
    await until(() => asked === 2);
    assert.equal(b.reflector.health().isSynced, false);
    await b.reflector.whenSynced();
    assert.equal(b.reflector.health().state, 'absent');
  });

  it('takes the version the server prefers among those it reads', async () => {
    await using b = await bed({
      kinds: [{ ...WIDGETS, versions: ['v2', 'v1', 'v1beta1'] }],
      resource: { group: 'test.ambit.io', resource: 'widgets', versions: ['v1beta1', 'v1'] },
    });
    b.reflector.start();
    await b.reflector.whenSynced();
    assert.equal(b.reflector.health().version, 'v1');
  });

  it('moves to another version when its own is no longer served', async () => {
    await using b = await bed({
      resource: { group: 'test.ambit.io', resource: 'widgets', versions: ['v1', 'v1beta1'] },
    });
    b.reflector.start();
    await until(() => b.server.watchCount === 1);
    b.server.setKinds([{ ...WIDGETS, versions: ['v1beta1'] }]);
    b.server.endWatches('widgets', 'close');
    await until(() => b.reflector.health().version === 'v1beta1');
    await until(() => b.server.watchCount === 1);
    assert.equal(b.told.length, 3);
  });

  it('is not synced while discovery does not answer', async () => {
    await using b = await bed();
    let asked = 0;
    b.server.intercept = (request, response) => {
      if (request.url.pathname === '/apis' && asked < 3) {
        asked += 1;
        fail(response, 503, 'ServiceUnavailable');
        return true;
      }
      return false;
    };
    b.reflector.start();
    await until(() => asked === 2);
    assert.equal(b.reflector.health().isSynced, false);
    await b.reflector.whenSynced();
    assert.equal(b.reflector.size, 2);
  });
});
