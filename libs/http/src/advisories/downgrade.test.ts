/**
 * Requests of HTTP/2 that lie about where they end, before a backend of HTTP/1.1 (H2.CL, H2.TE). What follows the end that the
 * backend sees would be a request that nobody has judged: there is none, or the lie is refused.
 */
import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { data, headers } from '@ambit/h2/testing';
import {
  assertPassed,
  assertRefused,
  type Bed,
  onDowngrade,
  valuesOf,
} from '../fixtures/advisory-bed.ts';
import { openHttp2 } from '../fixtures/raw-client.ts';

const SMUGGLED = 'GET /smuggled HTTP/1.1\r\nhost: reviews\r\n\r\n';
const END = 1;
const POST = [':method', 'POST', ':scheme', 'http', ':path', '/', ':authority', 'reviews'];

interface Case {
  readonly name: string;
  /** Behind those of a POST. */
  readonly fields?: readonly string[];
  /** Instead of those of a POST. */
  readonly all?: readonly string[];
  /** Of each frame of DATA; none: the HEADERS end the request. */
  readonly body: readonly string[];
}

/** The status; 0: the stream was reset. A second request shows that the connection to the backend is in step. */
async function statusOf({ harness }: Bed, { fields = [], all, body }: Case): Promise<number> {
  const { peer, statuses } = await openHttp2(harness.port);
  const pieces = body.map((text, at) => data(1, text, at === body.length - 1 ? END : 0));
  peer.send(headers(1, all ?? [...POST, ...fields], body.length === 0 ? END : 0), ...pieces);
  const status = await statuses(1);
  peer.send(headers(3, [':method', 'GET', ...POST.slice(2), 'x-next', '1'], END));
  assert.equal(await statuses(3), 200, 'what comes next is served');
  peer.destroy();
  return status;
}

/** Nothing but the request beside it is whole at the backend, and what is a part of one is no other one's beginning. */
function assertNothingWhole(bed: Bed, what: string): void {
  const seen = bed.seen();
  const whole = seen.filter(({ isWhole }) => isWhole);
  assert.deepEqual(
    whole.map(({ method, path, fields }) => [method, path, fields.includes('x-next')]),
    [['GET', '/', true]],
    what,
  );
  for (const { method, path } of seen) {
    assert.ok(
      (method === 'POST' || method === 'GET') && path === '/',
      `${what}: ${method} ${path}`,
    );
  }
}

const length = (text: string): string[] => ['content-length', text];

describe('H2.CL: a content-length that is not what DATA carries', () => {
  const cases: readonly Case[] = [
    { name: 'of 0, and a request behind it', fields: length('0'), body: [SMUGGLED] },
    { name: 'less than DATA', fields: length('3'), body: [`abc${SMUGGLED}`] },
    { name: 'less than DATA, which comes later', fields: length('3'), body: ['abc', SMUGGLED] },
    { name: 'more than DATA', fields: length('100'), body: ['abc'] },
    { name: 'and no body at all', fields: length('3'), body: [] },
    { name: 'twice, not the same', fields: [...length('3'), ...length('0')], body: ['abc'] },
    { name: 'a list', fields: length('3, 3'), body: ['abc'] },
    { name: 'with a sign', fields: length('+3'), body: ['abc'] },
    { name: 'below zero', fields: length('-1'), body: ['abc'] },
    { name: 'hexadecimal', fields: length('0x3'), body: ['abc'] },
    { name: 'empty', fields: length(''), body: ['abc'] },
    { name: 'of 2^64 and 3', fields: length('18446744073709551619'), body: ['abc'] },
    { name: 'by a name that is read like it', fields: ['content_length', '0'], body: ['abc'] },
    { name: 'in capitals', fields: ['Content-Length', '0'], body: [SMUGGLED] },
  ];
  for (const one of cases) {
    onDowngrade(`${one.name}: refused`, async (bed) => {
      const status = await statusOf(bed, one);
      assert.ok(status === 0 || status === 400, `${status}`);
      assertNothingWhole(bed, one.name);
    });
  }

  for (const [name, fields, body, sent] of [
    ['what DATA carries', length('3'), ['a', 'bc'], ['3']],
    ['twice, the same', [...length('3'), ...length('3')], ['abc'], ['3']],
    ['with zeros in front', length('003'), ['abc'], ['3']],
    ['of 0, with an empty DATA', length('0'), [''], ['0']],
    ['none, with a body that looks like a request', [], [SMUGGLED], []],
  ] as const) {
    onDowngrade(`${name}: one request, as long as DATA`, async (bed) => {
      assert.equal(await statusOf(bed, { name, fields, body }), 200);
      const [request, next, ...more] = bed.seen();
      assert.ok(request?.isWhole === true && next?.isWhole === true && more.length === 0);
      assert.equal(request.body, body.join(''));
      assert.deepEqual(valuesOf(request, 'content-length'), sent);
    });
  }
});

describe('H2.TE: a framing of HTTP/1.1 that HTTP/2 does not have', () => {
  const chunks = `0\r\n\r\n${SMUGGLED}`;
  const path = (text: string): string[] => [...POST.slice(0, 4), ':path', text, ...POST.slice(6)];
  const cases: readonly Case[] = [
    {
      name: 'transfer-encoding: chunked',
      fields: ['transfer-encoding', 'chunked'],
      body: [chunks],
    },
    { name: 'transfer-encoding: identity', fields: ['transfer-encoding', 'identity'], body: ['a'] },
    { name: 'transfer-encoding, empty', fields: ['transfer-encoding', ''], body: [chunks] },
    { name: 'in capitals', fields: ['Transfer-Encoding', 'chunked'], body: [chunks] },
    {
      name: 'with a length that is right',
      fields: ['transfer-encoding', 'chunked', ...length(String(chunks.length))],
      body: [chunks],
    },
    { name: 'by a name read like it', fields: ['transfer_encoding', 'chunked'], body: [chunks] },
    { name: 'by a name with a blank', fields: ['transfer-encoding ', 'chunked'], body: [chunks] },
    { name: 'te: chunked', fields: ['te', 'chunked'], body: [chunks] },
    { name: 'connection that names it', fields: ['connection', 'transfer-encoding'], body: ['a'] },
    {
      name: 'behind CR LF in a value',
      fields: ['x', 'a\r\ntransfer-encoding: chunked'],
      body: [chunks],
    },
    {
      name: 'behind LF in a value',
      fields: ['x', 'a\ntransfer-encoding: chunked'],
      body: [chunks],
    },
    {
      name: 'behind CR LF in a name',
      fields: ['x: a\r\ntransfer-encoding', 'chunked'],
      body: [chunks],
    },
    {
      name: 'behind CR LF in :path',
      all: path('/ HTTP/1.1\r\ntransfer-encoding: chunked\r\nx: y'),
      body: [chunks],
    },
    {
      name: 'behind CR LF in :method',
      all: [':method', 'POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\nx: y', ...POST.slice(2)],
      body: [chunks],
    },
    {
      name: 'behind CR LF in :authority',
      all: [...POST.slice(0, 6), ':authority', 'reviews\r\ntransfer-encoding: chunked'],
      body: [chunks],
    },
  ];
  for (const one of cases) {
    onDowngrade(`${one.name}: refused`, async (bed) => {
      const status = await statusOf(bed, one);
      assert.ok(status === 0 || status === 400, `${status}`);
      assertNothingWhole(bed, one.name);
    });
  }

  onDowngrade('a body that looks like chunks is a body', async (bed) => {
    const body = [chunks];
    assert.equal(await statusOf(bed, { name: '', fields: ['te', 'trailers'], body }), 200);
    assert.deepEqual(
      bed.seen().map((request) => [request.path, request.body]),
      [
        ['/', chunks],
        ['/', ''],
      ],
    );
  });
});

describe(':path of HTTP/2 in absolute form, which names another host than :authority', () => {
  for (const path of [
    'http://other/admin',
    'http://reviews/',
    'HTTP://reviews/',
    '//',
    'other:80',
  ]) {
    const isTaken = path === '//';
    onDowngrade(`${path}: ${isTaken ? 'a path' : 'refused'}`, async (bed) => {
      const status = await bed.ask({ path });
      if (isTaken) {
        assert.equal(assertPassed(bed, status, path).path, path);
      } else {
        assertRefused(bed, status, path);
      }
    });
  }
});
