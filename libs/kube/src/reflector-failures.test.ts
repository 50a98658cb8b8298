import assert from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import { describe, it } from 'node:test';
import { answer, fail } from './fake-api-server.ts';
import { bed, isList, until } from './reflector.testing.ts';

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
    respond: (response: ServerResponse) => void,
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
