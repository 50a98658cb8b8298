/** Fields that are said elsewhere than in the list of fields are judged like all others. */
import assert from 'node:assert/strict';
import { connect as connectHttp2 } from 'node:http2';
import { connect } from 'node:net';
import { describe, it } from 'node:test';
import { startBackend, startHarness } from './fixtures/harness.ts';

const WEBSOCKET = 'connection: keep-alive, Upgrade\r\nupgrade: WebSocket\r\n';
/** The condition, what is sent beside Host, and whether it holds. */
const CASES: readonly (readonly [key: string, value: string, sent: string, holds: boolean])[] = [
  ['host', 'reviews', '', true],
  ['Host', 'Reviews', '', true],
  ['host', 'review*', '', true],
  ['host', 'other', '', false],
  ['upgrade', 'websocket', WEBSOCKET, true],
  ['Upgrade', 'WebSocket', WEBSOCKET, true],
  ['upgrade', '*', WEBSOCKET, true],
  ['connection', 'Upgrade', WEBSOCKET, true],
  ['te', 'trailers', 'te: trailers\r\nconnection: te\r\n', true],
  // Not sent on.
  ['upgrade', '*', 'upgrade: websocket\r\n', false],
  ['upgrade', '*', 'connection: upgrade\r\nupgrade: h2c\r\n', false],
  ['connection', '*', 'connection: keep-alive\r\n', false],
  ['te', '*', 'te: gzip\r\nconnection: te\r\n', false],
];

function statusOfHttp1(port: number, fields: string): Promise<number> {
  const { promise, resolve } = Promise.withResolvers<number>();
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => undefined);
  socket.once('data', (bytes) => {
    socket.destroy();
    resolve(Number(bytes.toString('latin1').slice(9, 12)));
  });
  socket.write(`GET / HTTP/1.1\r\nhost: reviews\r\n${fields}\r\n`);
  return promise;
}

function statusOfHttp2(port: number): Promise<number | undefined> {
  const { promise, resolve } = Promise.withResolvers<number | undefined>();
  const session = connectHttp2(`http://127.0.0.1:${port}`);
  const stream = session.request({ ':authority': 'reviews' });
  stream.once('response', (fields) => {
    session.destroy();
    resolve(fields[':status']);
  });
  return promise;
}

describe('fields that are no longer among the fields', () => {
  for (const [name, value, sent, holds] of CASES) {
    it(`${name} = ${value} ${holds ? 'holds' : 'does not hold'} for ${JSON.stringify(sent)}`, async () => {
      await using backend = await startBackend((_, response) => response.end());
      const spec = {
        action: 'DENY',
        rules: [{ when: [{ key: `request.headers[${name}]`, values: [value] }] }],
      };
      await using harness = await startHarness({
        backends: [{ name: 'v1', port: backend.port }],
        objects: [{ kind: 'AuthorizationPolicy', spec }],
      });
      assert.equal((await statusOfHttp1(harness.port, sent)) === 403, holds);
      if (sent === '') {
        assert.equal((await statusOfHttp2(harness.port)) === 403, holds);
      }
    });
  }

  it('a route asks for Host and Upgrade too', async () => {
    await using backend = await startBackend((_, response) => response.end());
    const http = [
      {
        match: [{ headers: { upgrade: { exact: 'WebSocket' } } }],
        directResponse: { status: 418 },
      },
      { match: [{ headers: { host: { exact: 'reviews' } } }], directResponse: { status: 451 } },
      { route: [{ destination: { host: 'reviews' } }] },
    ];
    await using harness = await startHarness({
      backends: [{ name: 'v1', port: backend.port }],
      objects: [{ kind: 'VirtualService', spec: { hosts: ['reviews'], http } }],
    });
    assert.equal(await statusOfHttp1(harness.port, WEBSOCKET), 418);
    assert.equal(await statusOfHttp1(harness.port, ''), 451);
    assert.equal(await statusOfHttp2(harness.port), 451);
  });
});
