import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { answer, fail } from './fake-api-server.ts';
import { bed, isList, until, WIDGETS } from './reflector.testing.ts';

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
