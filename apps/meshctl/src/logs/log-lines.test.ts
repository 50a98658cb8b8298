import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { isRefusal, LineReader, refusalText } from './log-lines.ts';

function lineOf(fields: object) {
  const [line] = new LineReader('node1').push(`${JSON.stringify(fields)}\n`);
  assert.ok(line);
  return line;
}

const AGENT_DENIAL = {
  level: 'error',
  time: '2026-01-31T12:00:01.002Z',
  scope: 'access',
  message: 'connection complete',
  'src.addr': '10.0.0.1:4',
  'src.identity': 'spiffe://td/ns/shop/sa/client',
  'dst.service': 'reviews.shop.svc',
  'dst.hbone_addr': '10.0.0.2:8080',
  response_flags: 'DENY',
  code: 'WORKER_DENIED',
  error: 'denied',
  policy: 'shop/deny',
  rule: 0,
};

describe('isRefusal', () => {
  for (const [title, change, expected] of [
    ['a denial at an agent', {}, true],
    [
      'an identity that was not expected',
      { policy: undefined, response_flags: 'IDENTITY_ERROR' },
      true,
    ],
    ['a tunnel that nobody took', { message: 'connection failed', error: 'no such service' }, true],
    ['a certificate', { scope: 'ca', message: 'certificate refused' }, true],
    ['an answer 403 of policy', { response_flags: 'UAEX', response_code: 403 }, true],
    ['a 401 for a bad token', { response_code: 401, policy: undefined }, true],
    [
      'a 403 of the application',
      { response_code: 403, error: undefined, policy: undefined, response_flags: '-' },
      false,
    ],
    ['a host that is down', { policy: undefined, response_flags: 'CONNECT' }, false],
    ['a connection that was carried', { error: undefined, response_flags: '-' }, false],
    ['a line of another scope', { scope: 'xds' }, false],
  ] as const) {
    it(`${expected ? 'is' : 'is not'} ${title}`, () => {
      const { policy, ...rest } = { ...AGENT_DENIAL, ...change };
      assert.equal(
        isRefusal(lineOf({ ...rest, ...(policy === undefined ? {} : { policy }) })),
        expected,
      );
    });
  }

  it('is no line that is no JSON', () => {
    const [line] = new LineReader('x').push('panic: denied\n');
    assert.equal(line !== undefined && isRefusal(line), false);
  });
});

describe('refusalText', () => {
  it('says when, where, who, whom and why', () => {
    assert.equal(
      refusalText(lineOf(AGENT_DENIAL)),
      '12:00:01.002 node1: spiffe://td/ns/shop/sa/client → reviews.shop.svc:8080: denied (policy shop/deny rule 0)',
    );
    const http = { ...AGENT_DENIAL, method: 'GET', path: '/a\u001b[31m', response_code: 403 };
    assert.match(refusalText(lineOf(http)), / GET \/a \[31m: 403 denied/);
  });

  it('falls back to addresses, and prefers the real caller', () => {
    const bare = {
      time: AGENT_DENIAL.time,
      scope: 'access',
      'src.addr': '10.0.0.1:4',
      'dst.addr': '10.0.0.2:80',
      error: 'x',
    };
    assert.equal(refusalText(lineOf(bare)), '12:00:01.002 node1: 10.0.0.1:4 → 10.0.0.2:80: x');
    assert.match(refusalText(lineOf({ ...bare, 'src.caller': 'spiffe://a' })), /: spiffe:\/\/a → /);
  });
});

describe('LineReader', () => {
  it('gives every line once, however it is cut', () => {
    const lines = fc.array(
      fc.oneof(fc.string(), fc.json()).map((text) => text.replace(/\n/g, '')),
      { maxLength: 8 },
    );
    fc.assert(
      fc.property(lines, fc.integer({ min: 1, max: 7 }), (texts, size) => {
        const whole = texts.map((text) => `${text}\n`).join('');
        const reader = new LineReader('x');
        const found = [];
        for (let at = 0; at < whole.length; at += size) {
          found.push(...reader.push(whole.slice(at, at + size)));
        }
        found.push(...reader.end());
        assert.deepEqual(
          found.map(({ text }) => text),
          texts.filter((text) => text !== ''),
        );
        for (const line of found) if (isRefusal(line)) refusalText(line);
      }),
    );
  });

  it('keeps a line without time where it was', () => {
    const lines = new LineReader('x').push('{"time":"2026-01-31T12:00:00Z"}\n  at stack\n');
    assert.equal(lines[1]?.atMs, lines[0]?.atMs);
  });

  it('bounds a line without end', () => {
    const reader = new LineReader('x');
    for (let i = 0; i < 10; i += 1) reader.push('y'.repeat(20_000));
    assert.ok((reader.end()[0]?.text.length ?? 0) <= 64 * 1024);
  });
});
