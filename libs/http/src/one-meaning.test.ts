/** Requests that policy could take for something else than the application does. */
import assert from 'node:assert/strict';
import { connect as connectHttp2, type OutgoingHttpHeaders } from 'node:http2';
import { describe, it } from 'node:test';

import { startBackend, startHarness } from './fixtures/harness.ts';
import {
  statusOf as answeredStatus,
  exchange,
  headerFrames,
  openHttp2,
} from './fixtures/raw-client.ts';

interface Sent {
  readonly headers: OutgoingHttpHeaders;
  readonly trailers?: OutgoingHttpHeaders;
}

async function statusOf(port: number, { headers, trailers }: Sent): Promise<number> {
  const session = connectHttp2(`http://127.0.0.1:${port}`);
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const stream = session.request(
    { ':authority': 'reviews', ':path': '/', ...headers },
    trailers === undefined ? { endStream: true } : { waitForTrailers: true },
  );
  stream.once('wantTrailers', () => stream.sendTrailers(trailers ?? {}));
  stream.once('response', (fields) => resolve(Number(fields[':status'])));
  stream.once('error', reject);
  if (trailers !== undefined) stream.end('x');
  stream.resume();
  try {
    return await promise;
  } finally {
    session.close();
  }
}

describe('a request has one meaning', () => {
  it('does not pass a method in another spelling by a rule on methods', async () => {
    const seen: string[] = [];
    await using backend = await startBackend((request, response) => {
      seen.push(request.method ?? '');
      response.end();
    });
    await using harness = await startHarness({
      backends: [{ name: 'v1', port: backend.port }],
      objects: [
        {
          kind: 'AuthorizationPolicy',
          spec: { action: 'DENY', rules: [{ to: [{ operation: { methods: ['POST'] } }] }] },
        },
      ],
    });
    for (const [method, status] of [
      ['GET', 200],
      ['POST', 403],
      ['post', 405],
      ['Post', 405],
    ] as const) {
      assert.equal(await statusOf(harness.port, { headers: { ':method': method } }), status);
    }
    assert.deepEqual(seen, ['GET']);
  });

  it('does not meet a rule on a header that only the mesh writes', async () => {
    await using backend = await startBackend((_request, response) => response.end());
    for (const name of ['x-forwarded-client-cert', 'x-ambit-source', 'x-envoy-peer']) {
      await using harness = await startHarness({
        backends: [{ name: 'v1', port: backend.port }],
        objects: [
          {
            kind: 'AuthorizationPolicy',
            spec: { rules: [{ when: [{ key: `request.headers[${name}]`, values: ['*'] }] }] },
          },
        ],
      });
      const headers = { [name]: 'URI=spiffe://cluster.local/ns/shop/sa/admin' };
      assert.equal(await statusOf(harness.port, { headers }), 403, name);
    }
  });

  it('does not speak for a caller in trailers', async () => {
    const seen: string[] = [];
    await using backend = await startBackend((request, response) => {
      request.resume();
      request.once('end', () => {
        seen.push(...Object.keys(request.trailers));
        response.end();
      });
    });
    await using harness = await startHarness({ backends: [{ name: 'v1', port: backend.port }] });
    const status = await statusOf(harness.port, {
      headers: { ':method': 'POST' },
      trailers: {
        'x-forwarded-client-cert': 'URI=spiffe://cluster.local/ns/x/sa/admin',
        'x-ambit-source': 'spiffe://cluster.local/ns/x/sa/admin',
        'x-checksum': '1',
      },
    });
    assert.equal(status, 200);
    assert.deepEqual(seen, ['x-checksum']);
  });

  it('takes no field out that Connection names and policy asks for', async () => {
    const seen: string[] = [];
    await using backend = await startBackend((request, response) => {
      seen.push(String(request.headers['x-role']));
      response.end();
    });
    await using harness = await startHarness({
      backends: [{ name: 'v1', port: backend.port }],
      objects: [
        {
          kind: 'AuthorizationPolicy',
          spec: { rules: [{ when: [{ key: 'request.headers[x-role]', values: ['user'] }] }] },
        },
      ],
    });
    const fields = 'x-role: user\r\n';
    const text = (connection: string): string =>
      `GET / HTTP/1.1\r\nhost: reviews\r\n${fields}connection: ${connection}\r\n\r\n`;
    assert.equal(answeredStatus(await exchange(harness.port, text('close'))), 200);
    const named = await exchange(harness.port, text('close, x-role'));
    assert.equal(answeredStatus(named), 403, 'policy does not see it');
    assert.deepEqual(seen, ['user']);
  });

  it('asks for the whole server by OPTIONS alone, whatever scheme HTTP/2 names', async () => {
    const seen: string[] = [];
    await using backend = await startBackend((request, response) => {
      seen.push(`${request.method} ${request.url}`);
      response.end();
    });
    await using harness = await startHarness({ backends: [{ name: 'v1', port: backend.port }] });
    for (const [method, scheme, status] of [
      ['OPTIONS', 'http', 200],
      ['OPTIONS', 'ftp', 200],
      ['GET', 'ftp', 400],
      ['POST', 'HTTP', 400],
    ] as const) {
      const { peer, statuses } = await openHttp2(harness.port);
      const pseudo = [':method', method, ':scheme', scheme, ':path', '*', ':authority', 'reviews'];
      peer.send(...headerFrames(1, pseudo, 1));
      assert.equal(await statuses(1), status, `${method} ${scheme}`);
      peer.destroy();
    }
    assert.deepEqual(seen, ['OPTIONS *', 'OPTIONS *']);
  });
});
