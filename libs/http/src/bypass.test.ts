/**
 * What got by the policies of other proxies (their advisories, by what they were about), on each listener of this one: refused,
 * or judged as the backend sees it.
 */
import assert from 'node:assert/strict';
import { connect as connectHttp2 } from 'node:http2';
import { connect } from 'node:net';
import { describe, it } from 'node:test';
import { startBackend, startHarness } from './fixtures/harness.ts';

const DENY = {
  kind: 'AuthorizationPolicy',
  spec: {
    action: 'DENY',
    rules: [
      { to: [{ operation: { paths: ['/admin', '/admin/*'] } }] },
      { to: [{ operation: { hosts: ['internal.example', 'internal.example:*'] } }] },
      { when: [{ key: 'request.headers[x-role]', values: ['admin'] }] },
    ],
  },
};

interface Sent {
  readonly method?: string;
  readonly path?: string;
  readonly host?: string;
  /** Name, value, … */
  readonly fields?: readonly string[];
}

type Ask = (port: number, sent: Sent) => Promise<number>;

const askHttp1: Ask = async (
  port,
  { method = 'GET', path = '/', host = 'reviews', fields = [] },
) => {
  const lines = [`${method} ${path} HTTP/1.1`, `host: ${host}`, 'connection: close'];
  for (let at = 0; at < fields.length; at += 2) {
    lines.push(`${fields[at]}: ${fields[at + 1]}`);
  }
  return await statusOf(port, `${lines.join('\r\n')}\r\n\r\n`);
};

async function statusOf(port: number, text: string): Promise<number> {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => undefined);
  socket.write(text, 'latin1');
  const { promise, resolve } = Promise.withResolvers<string>();
  let answer = '';
  socket.setEncoding('latin1').on('data', (chunk: string) => {
    answer += chunk;
  });
  socket.once('close', () => resolve(answer));
  return Number((await promise).slice(9, 12));
}

/** 0: the stream was reset. */
const askHttp2: Ask = async (
  port,
  { method = 'GET', path = '/', host = 'reviews', fields = [] },
) => {
  const session = connectHttp2(`http://127.0.0.1:${port}`);
  session.on('error', () => undefined);
  const { promise, resolve } = Promise.withResolvers<number>();
  const head = [':method', method, ':authority', host];
  const target = method === 'CONNECT' ? [] : [':scheme', 'http', ':path', path];
  try {
    const stream = session.request([...head, ...target, ...fields], { endStream: true });
    stream.once('response', (answer) => resolve(Number(answer[':status'])));
    stream.on('error', () => resolve(0));
    stream.once('close', () => resolve(0));
    stream.resume();
    return await promise;
  } catch {
    // Such a thing this client does not send.
    return 0;
  } finally {
    session.destroy();
  }
};

/** 200: it came through, and the path as the backend saw it. */
const CASES: readonly (readonly [what: string, sent: Sent, status: number, path?: string])[] = [
  ['a path that climbs', { path: '/public/../admin' }, 403],
  ['… in escapes', { path: '/public/%2e%2E/admin' }, 403],
  ['… over a backslash', { path: '/public\\..\\admin' }, 403],
  ['a NUL in the path', { path: '/admin%00' }, 400],
  ['a query behind it', { path: '/admin?x' }, 403],
  ['a fragment behind it', { path: '/admin#x' }, 400],
  ['a letter in an escape', { path: '/%61dmin' }, 403],
  ['an escape of an escape', { path: '/%2561dmin' }, 200, '/%2561dmin'],
  ['a parameter behind it', { path: '/admin;x' }, 200, '/admin;x'],
  ['a parameter before it', { path: '/;a=b/admin' }, 200, '/;a=b/admin'],
  ['a parameter that climbs', { path: '/x/..;/admin' }, 200, '/x/..;/admin'],
  ['two slashes', { path: '//admin' }, 200, '//admin'],
  ['an escaped slash', { path: '/x%2F..%2Fadmin' }, 200, '/x%2F..%2Fadmin'],
  ['a broken escape', { path: '/%zz' }, 400],
  ['another case of the host', { host: 'INTERNAL.Example' }, 403],
  ['a host with a port', { host: 'internal.example:80' }, 403],
  ['the method in small letters', { method: 'get' }, 405],
  ['CONNECT, which has no path', { method: 'CONNECT', host: 'reviews:80' }, 405],
  ['the header', { fields: ['x-role', 'admin'] }, 403],
  ['the header in another spelling', { fields: ['X-ROLE', 'admin'] }, 403],
  ['the header twice', { fields: ['x-role', 'admin', 'x-role', 'admin'] }, 403],
  ['the header behind a harmless one', { fields: ['x-role', 'user', 'x-role', 'admin'] }, 403],
  ['the header before a harmless one', { fields: ['x-role', 'admin', 'x-role', 'user'] }, 403],
  ['a header that only proxies write', { fields: ['x-envoy-original-path', '/'] }, 200, '/'],
  ['bytes that are no UTF-8', { fields: ['x-role', '\xff\xfe'] }, 200, '/'],
];

for (const [version, ask] of [
  ['HTTP/1.1', askHttp1],
  ['HTTP/2', askHttp2],
] as const) {
  describe(`a listener of ${version}`, () => {
    it('lets nothing by', async () => {
      const seen: string[] = [];
      await using backend = await startBackend((request, response) => {
        seen.push(request.url ?? '');
        assert.equal(request.headers['x-envoy-original-path'], undefined);
        response.end();
      });
      await using harness = await startHarness({
        backends: [{ name: 'v1', port: backend.port }],
        objects: [DENY],
      });
      for (const [what, sent, status, path] of CASES) {
        const got = await ask(harness.port, sent);
        // A client or a codec may refuse what is no HTTP before policy is asked.
        assert.ok(
          got === status || (status !== 200 && (got === 400 || got === 0)),
          `${what}: ${got}`,
        );
        assert.deepEqual(seen.splice(0), status === 200 ? [path] : [], what);
      }
    });
  });
}

describe('HTTP/1.1', () => {
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
    assert.equal(await statusOf(harness.port, text('close')), 200);
    assert.equal(
      await statusOf(harness.port, text('close, x-role')),
      403,
      'policy does not see it',
    );
    assert.deepEqual(seen, ['user']);
  });

  it('reads nothing behind an upgrade that is refused', async () => {
    const seen: string[] = [];
    await using backend = await startBackend((request, response) => {
      seen.push(request.url ?? '');
      response.statusCode = 404;
      response.end();
    });
    await using harness = await startHarness({
      backends: [{ name: 'v1', port: backend.port }],
      objects: [DENY],
    });
    const upgrade = (path: string): string =>
      `GET ${path} HTTP/1.1\r\nhost: reviews\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n`;
    const smuggled = 'GET /smuggled HTTP/1.1\r\nhost: reviews\r\n\r\n';
    assert.equal(await statusOf(harness.port, `${upgrade('/admin')}${smuggled}`), 403);
    assert.equal(await statusOf(harness.port, `${upgrade('/ws')}${smuggled}`), 404);
    assert.deepEqual(seen, ['/ws']);
  });
});
