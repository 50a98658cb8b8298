/** Copies of requests: who gets them, and who does not. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ask } from '../fixtures/client.ts';
import { startBackend, startHarness } from '../fixtures/harness.ts';

const MIRRORED = {
  kind: 'VirtualService',
  spec: {
    hosts: ['reviews'],
    http: [{ route: [{ destination: { host: 'reviews' } }], mirror: { host: 'copy' } }],
  },
};

describe('a mirror', () => {
  it('gets nothing from a caller whom its policies refuse', async () => {
    const seen: string[] = [];
    await using main = await startBackend((_request, response) => response.end());
    await using shadow = await startBackend((request, response) => {
      seen.push(request.headers['host'] ?? '');
      response.end();
    });
    const backends = [
      { name: 'v1', port: main.port },
      { name: 'copy', port: shadow.port, service: 'copy' },
    ];
    const refused = {
      kind: 'AuthorizationPolicy',
      spec: {
        action: 'DENY',
        rules: [{ to: [{ operation: { ports: [String(shadow.port)] } }] }],
      },
    };
    await using closed = await startHarness({ backends, objects: [MIRRORED, refused] });
    assert.equal((await ask({ port: closed.port })).status, 200, 'the request itself goes on');
    await using open = await startHarness({ backends, objects: [MIRRORED] });
    assert.equal((await ask({ port: open.port })).status, 200);
    while (open.engine.counters.mirrorsActive + closed.engine.counters.mirrorsActive > 0) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    assert.deepEqual(seen, ['reviews-shadow'], 'of the two requests, only the second');
  });

  it('is asked for an address of IPv6 as it is', async () => {
    const seen: string[] = [];
    await using main = await startBackend((_request, response) => response.end());
    await using shadow = await startBackend((request, response) => {
      seen.push(request.headers['host'] ?? '');
      response.end();
    });
    await using open = await startHarness({
      backends: [
        { name: 'v1', port: main.port },
        { name: 'copy', port: shadow.port, service: 'copy' },
      ],
      objects: [MIRRORED],
    });
    assert.equal((await ask({ port: open.port, headers: { host: '[fd00::1]:80' } })).status, 200);
    while (open.engine.counters.mirrorsActive > 0) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    assert.deepEqual(seen, ['[fd00::1]:80']);
  });
});
