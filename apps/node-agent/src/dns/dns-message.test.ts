import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Answer, decode, encode } from 'dns-packet';
import fc from 'fast-check';
import {
  addressType,
  answerResponse,
  errorResponse,
  parseQuery,
  RCODE,
  typeLabel,
} from './dns-message.ts';

const query = (name: string, extra: object = {}): Buffer =>
  encode({ type: 'query', id: 0x1234, flags: 0x100, questions: [{ type: 'A', name }], ...extra });
const OPT = (udpPayloadSize: number) =>
  ({ type: 'OPT', name: '.', udpPayloadSize, flags: 0, options: [] }) as never;
/** Sets bytes of a copy. */
function patched(bytes: Buffer, at: number, ...values: readonly number[]): Buffer {
  const copy = Buffer.from(bytes);
  copy.set(values, at);
  return copy;
}
function questionOf(bytes: Uint8Array) {
  const parsed = parseQuery(bytes);
  assert.equal(parsed.kind, 'question');
  return parsed.kind === 'question' ? parsed.question : undefined;
}

describe('parseQuery', () => {
  it('reads the question, in lower case', () => {
    const question = questionOf(query('ReViews.Shop'));
    assert.deepEqual(question, { name: 'reviews.shop', type: 1, isInternet: true, end: 30 });
  });

  const plain = query('a.b');
  const odd: readonly (readonly [string, Buffer, object])[] = [
    ['nothing', Buffer.alloc(0), { kind: 'drop' }],
    ['half a header', plain.subarray(0, 11), { kind: 'drop' }],
    ['a response', patched(plain, 2, 0x81), { kind: 'refuse', rcode: RCODE.formatError }],
    ['another opcode', patched(plain, 2, 0x28), { kind: 'refuse', rcode: RCODE.notImplemented }],
    ['no question', patched(plain, 5, 0), { kind: 'refuse', rcode: RCODE.formatError }],
    ['two questions', patched(plain, 5, 2), { kind: 'refuse', rcode: RCODE.formatError }],
    ['a cut name', plain.subarray(0, 15), { kind: 'refuse', rcode: RCODE.formatError }],
    [
      'a cut question',
      plain.subarray(0, plain.length - 1),
      { kind: 'refuse', rcode: RCODE.formatError },
    ],
    [
      'a compression pointer',
      patched(plain, 12, 0xc0, 12),
      { kind: 'refuse', rcode: RCODE.formatError },
    ],
    ['a label of 64', patched(plain, 12, 64), { kind: 'refuse', rcode: RCODE.formatError }],
  ];
  for (const [what, bytes, expected] of odd) {
    it(`answers ${what} with ${JSON.stringify(expected)}`, () => {
      assert.deepEqual(parseQuery(bytes), expected);
    });
  }

  it('does not look up what is no host name', () => {
    for (const byte of [0x20, 0x2e, 0x00, 0xff, 0x2f]) {
      assert.equal(questionOf(patched(plain, 13, byte))?.name, undefined);
    }
  });

  it('refuses names that are too long', () => {
    const label = Buffer.concat([Buffer.from([63]), Buffer.alloc(63, 0x61)]);
    const name = Buffer.concat([label, label, label, label, Buffer.from([0, 0, 1, 0, 1])]);
    const bytes = Buffer.concat([plain.subarray(0, 12), name]);
    assert.deepEqual(parseQuery(bytes), { kind: 'refuse', rcode: RCODE.formatError });
  });

  it('never throws, and what it refuses can be refused in bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 600 }), (bytes) => {
        const parsed = parseQuery(bytes);
        if (parsed.kind !== 'drop') {
          const answer = errorResponse(bytes, RCODE.serverFailure);
          assert.ok(answer.length >= 12 && answer.length <= Math.max(12, bytes.length));
          assert.equal((answer[2] ?? 0) & 0x80, 0x80, 'it is a response');
        }
      }),
    );
  });
});

describe('addressType', () => {
  it('is that of A and AAAA in the internet class only', () => {
    const base = { name: 'a', end: 0 };
    assert.equal(addressType({ ...base, type: 1, isInternet: true }), 'A');
    assert.equal(addressType({ ...base, type: 28, isInternet: true }), 'AAAA');
    assert.equal(addressType({ ...base, type: 16, isInternet: true }), undefined);
    assert.equal(addressType({ ...base, type: 1, isInternet: false }), undefined);
  });
});

describe('typeLabel', () => {
  it('is from a closed set', () => {
    assert.deepEqual([1, 28, 65, 9999].map(typeLabel), ['A', 'AAAA', 'HTTPS', 'other']);
  });
});

describe('answerResponse', () => {
  const answerTo = (
    bytes: Buffer,
    addresses: readonly string[],
    transport: 'udp' | 'tcp' = 'udp',
  ) => answerResponse({ query: bytes, type: 'A', answer: { addresses }, transport });
  const addressesIn = (bytes: Buffer) =>
    decode(bytes).answers?.map((record: Answer) => ('data' in record ? record.data : ''));

  it('has the id, the question byte for byte, and records of 30 seconds', () => {
    const bytes = query('ReViews.Shop');
    const answer = answerTo(bytes, ['10.0.0.1', '10.0.0.2']);
    assert.equal(answer.readUInt16BE(0), 0x1234);
    assert.deepEqual(answer.subarray(12, 30), bytes.subarray(12, 30));
    const decoded = decode(answer);
    assert.deepEqual(addressesIn(answer), ['10.0.0.1', '10.0.0.2']);
    assert.ok(decoded.flag_aa && decoded.flag_ra && decoded.flag_rd && !decoded.flag_tc);
    assert.equal((answer[3] ?? 0) & 15, 0);
    assert.ok(decoded.answers?.every((record) => 'ttl' in record && record.ttl === 30));
    assert.deepEqual(decoded.additionals, []);
  });

  it('is empty without error for a name without such addresses', () => {
    const answer = answerTo(query('a.b'), []);
    assert.deepEqual([(answer[3] ?? 0) & 15, decode(answer).answers], [0, []]);
  });

  it('points to the stripped name', () => {
    const answer = answerResponse({
      query: query('a.com.shop.svc.cluster.local'),
      type: 'A',
      answer: { cname: 'a.com', addresses: ['10.0.0.1'] },
      transport: 'udp',
    });
    const records = decode(answer).answers?.map((r) => [r.name, r.type, 'data' in r ? r.data : '']);
    assert.deepEqual(records, [
      ['a.com.shop.svc.cluster.local', 'CNAME', 'a.com'],
      ['a.com', 'A', '10.0.0.1'],
    ]);
  });

  const many = Array.from({ length: 500 }, (_, i) => `10.0.${i >> 8}.${i & 255}`);
  const limits = [
    ['512 bytes', [], 512],
    ['512 bytes, when less is announced', [OPT(100)], 512],
    ['what is announced', [OPT(1000)], 1000],
    ['what passes unfragmented', [OPT(4096)], 1232],
  ] as const;
  for (const [what, additionals, limit] of limits) {
    it(`keeps to ${what} over UDP, with TC set`, () => {
      const answer = answerTo(query('a.b', { additionals }), many);
      assert.ok(answer.length <= limit, `${answer.length}`);
      assert.ok(answer.length > limit / 3, 'uses the room');
      assert.ok(decode(answer).flag_tc);
      assert.equal(decode(answer).additionals?.length, additionals.length, 'EDNS is echoed');
    });
  }

  it('sends everything over TCP', () => {
    const answer = answerTo(query('a.b'), many, 'tcp');
    assert.equal(addressesIn(answer)?.length, 500);
    assert.ok(!decode(answer).flag_tc);
  });

  it('survives additional records that cannot be read', () => {
    const bytes = Buffer.concat([patched(query('a.b'), 11, 9), Buffer.from([0xc0, 0xff, 1, 2])]);
    assert.deepEqual(addressesIn(answerTo(bytes, ['10.0.0.1'])), ['10.0.0.1']);
  });
});
