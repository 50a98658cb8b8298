/** What becomes of a request whose body breaks off, or cannot be sent again, in an unlucky moment. */
import assert from 'node:assert/strict';
import type { RequestListener } from 'node:http';
import { describe, it } from 'node:test';
import { ask } from '../fixtures/client.ts';
import { startBackend, startHarness } from '../fixtures/harness.ts';
import { exchange, statusOf } from '../fixtures/raw-client.ts';
import { RequestBody } from '../request-body.ts';

const route = (over: Readonly<Record<string, unknown>>): Record<string, unknown> => ({
  kind: 'VirtualService',
  spec: { hosts: ['reviews'], http: [{ route: [{ destination: { host: 'reviews' } }], ...over }] },
});

describe('Forwarding', () => {
  it('ends a try whose body breaks the rules while it begins', async () => {
    await using backend = await startBackend((request, response) => {
      request.resume().on('end', () => response.end('ok'));
    });
    await using harness = await startHarness({
      backends: [{ name: 'v1', port: backend.port }],
      objects: [route({ fault: { delay: { percentage: { value: 100 }, fixedDelay: '1ms' } } })],
    });
    assert.equal((await ask({ port: harness.port })).status, 200);
    assert.equal((await harness.nextRequest()).status, 200);
    assert.deepEqual([harness.engine.upstream.connections, harness.engine.upstream.idle], [1, 1]);
    const head = 'POST / HTTP/1.1\r\nhost: reviews\r\ntransfer-encoding: chunked\r\n\r\n';
    assert.equal(statusOf(await exchange(harness.port, `${head}ZZ\r\n`)), 400);
    const { connections, idle, reused } = harness.engine.upstream;
    assert.deepEqual([connections - idle, reused], [0, 1]);
  });

  const outcomes: readonly (readonly [string, RequestListener, string])[] = [
    ['an answer', (_request, response) => void response.writeHead(502).end('no'), '502 -'],
    ['a connection that broke', (request) => void request.socket.destroy(), '503 UC'],
  ];
  for (const [what, serve, expected] of outcomes) {
    it(`says what came of the last try where there is none after it: ${what}`, async (t) => {
      let tries = 0;
      await using backend = await startBackend((request, response) => {
        tries += 1;
        request.resume().on('end', () => serve(request, response));
      });
      await using harness = await startHarness({
        backends: [{ name: 'v1', port: backend.port }],
        objects: [route({ retries: { attempts: 1, retryOn: '5xx' } })],
      });
      // What is on its way when the first try fails is more than is kept.
      let asked = 0;
      t.mock.getter(RequestBody.prototype, 'isReplayable', () => {
        asked += 1;
        return asked <= 2;
      });
      const { status } = await ask({ port: harness.port, body: 'again' });
      const { flags } = await harness.nextRequest();
      assert.deepEqual([`${status} ${flags.join()}`, tries], [expected, 1]);
    });
  }
});
