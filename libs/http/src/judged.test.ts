/**
 * What policy judged is, byte for byte, what the backend gets, or the backend gets nothing.
 *
 * Over any bytes near to HTTP/1, and over any fields of HTTP/2. `AMBIT_FUZZ_FACTOR=3000` makes a million of each.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { block, frame, headers, settings, settled } from '@ambit/h2/testing';
import type { RequestAttributes } from '@ambit/policy';
import { Recorder } from '@ambit/proxy/testing';
import fc from 'fast-check';
import { JudgedMesh, type Received } from './fixtures/judged.ts';
import { mutated, runs } from './h1/fixtures/arbitraries.ts';
import { REQUEST_SEEDS, WHOLE_REQUESTS } from './h1/fixtures/seeds.ts';
import { fieldValue } from './h1/message.ts';

/** Of this hop, or written by us. */
const OURS: ReadonlySet<string> = new Set([
  'connection',
  'content-length',
  'expect',
  'host',
  'te',
  'transfer-encoding',
  'upgrade',
  'x-envoy-attempt-count',
  'x-forwarded-client-cert',
  'x-forwarded-for',
  'x-forwarded-proto',
  'x-request-id',
]);

const TRICKS = [
  '/a/../b',
  '/%2e%2e/b',
  '/a%2fb',
  '/a%5Cb',
  '/a\\..\\b',
  '//b',
  '/a;x=y/..;/b',
  '/a%252e',
  '/%61dmin',
  '/a?b=../c',
  '/a#b',
  '/%00',
  '/%zz',
  '/a/./b/',
  '*',
  'http://a/../b',
  '/é',
];
const MORE_SEEDS = TRICKS.map(
  (path) => `GET ${path} HTTP/1.1\r\nHost: a\r\nX-Role: user\r\nx-role: admin\r\n\r\n`,
);

function check(judged: RequestAttributes, { head }: Received, names: Iterable<string>): void {
  const question = head.path.indexOf('?');
  const path = question === -1 ? head.path : head.path.slice(0, question);
  assert.deepEqual([judged.method, judged.host, judged.path], [head.method, head.authority, path]);
  for (const name of names) {
    if (!OURS.has(name)) {
      const got = head.fields.filter((_, at) => at % 2 === 1 && head.fields[at - 1] === name);
      assert.equal(judged.header(name), got.length === 0 ? undefined : got.join(','), name);
    }
  }
}

/** Nothing was received that was not judged as it is. */
function checkAll(mesh: JudgedMesh, names: Iterable<string>): number {
  const { judged, received } = mesh;
  assert.ok(received.length <= judged.length, 'nothing goes up that nobody judged');
  for (const request of received) {
    const id = fieldValue(request.head.fields, 'x-request-id');
    const attributes = judged.find(({ header }) => header('x-request-id') === id);
    assert.ok(attributes !== undefined);
    check(attributes, request, [...names, ...request.head.fields.filter((_, at) => at % 2 === 0)]);
  }
  return received.length;
}

function namesIn(text: string): string[] {
  return [...text.matchAll(/^([^\s:]+):/gm)].map(([, name = '']) => name.toLowerCase());
}

describe('what was judged is what is sent on', () => {
  it('from HTTP/1, whatever the bytes', async () => {
    let carried = 0;
    const seeds = [...REQUEST_SEEDS, ...MORE_SEEDS];
    await fc.assert(
      fc.asyncProperty(mutated(seeds, [...WHOLE_REQUESTS, ...MORE_SEEDS]), async (bytes) => {
        const mesh = new JudgedMesh();
        await mesh.send(bytes);
        carried += checkAll(mesh, namesIn(bytes.toString('latin1')));
        mesh.destroy();
      }),
      runs(200),
    );
    assert.ok(carried > 60, `${carried} requests came through`);
  });

  const name = fc.oneof(
    fc.constantFrom(
      ':path',
      ':method',
      ':authority',
      ':scheme',
      ':x',
      'host',
      'te',
      'cookie',
      'content-length',
      'transfer-encoding',
      'connection',
      'x-role',
      'X-Role',
      'x_role',
      'x-forwarded-client-cert',
      'expect',
      '',
      'x y',
      'x:y',
      'x\r\ny',
      'x\0',
    ),
    fc.string({ unit: 'binary', maxLength: 8 }).map((text) => text.replace(/[^\0-\xff]/g, 'x')),
  );
  const value = fc.oneof(
    fc.constantFrom(
      '',
      'a',
      'user',
      'admin',
      '3',
      '0',
      'trailers',
      'chunked',
      '100-continue',
      'GET',
      'post',
      'a\r\nx-role: admin',
      'a\nb',
      'a\0b',
      ' a',
      'a ',
      '\xff',
      'a, b',
      'http',
      ...TRICKS.map((path) => path.replace('é', '\xe9')),
    ),
    fc.string({ unit: 'binary', maxLength: 12 }).map((text) => text.replace(/[^\0-\xff]/g, 'x')),
  );
  const plain = [
    ':method',
    'GET',
    ':scheme',
    'http',
    ':path',
    '/a',
    ':authority',
    'a',
    'x-role',
    'user',
  ];

  it('from HTTP/2, whatever the fields', async () => {
    let carried = 0;
    const change = fc.tuple(fc.nat({ max: 6 }), fc.constantFrom(0, 0, 2), name, value);
    await fc.assert(
      fc.asyncProperty(
        fc.array(change, { maxLength: 3 }),
        fc.boolean(),
        async (changes, hasBody) => {
          const fields = [...plain];
          for (const [at, remove, ...field] of changes) {
            fields.splice(Math.min(at * 2, fields.length), remove, ...field);
          }
          const mesh = new JudgedMesh();
          const client = mesh.connect();
          Recorder.on(client);
          client.write(Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'));
          client.write(settings());
          client.write(headers(1, fields, hasBody ? 0 : 1));
          if (hasBody) {
            client.write(frame(0, 1, 'abc'));
            client.write(frame(1, 1, block(['x-sum', '1', 'x-ambit-source', 'me']), 5));
          }
          await settled(6);
          carried += checkAll(
            mesh,
            fields.filter((_, at) => at % 2 === 0),
          );
          for (const { trailers } of mesh.received) {
            assert.equal(fieldValue(trailers, 'x-ambit-source'), undefined);
          }
          client.destroy();
          mesh.destroy();
        },
      ),
      runs(200),
    );
    assert.ok(carried > 30, `${carried} requests came through`);
  });
});
