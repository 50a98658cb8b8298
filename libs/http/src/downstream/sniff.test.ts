import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FakeClock } from '@ambit/core/testing';
import type { ByteConn, ByteSink } from '@ambit/proxy';
import fc from 'fast-check';
import { mayBeHttp1, sniff, sniffBytes } from './sniff.ts';

const bytes = (text: string): Uint8Array => Buffer.from(text, 'latin1');

describe('sniffBytes', () => {
  const cases: readonly (readonly [string, ReturnType<typeof sniffBytes>])[] = [
    ['', undefined],
    ['P', undefined],
    ['PRI', undefined],
    ['PRI * HTTP/2.0\r\n\r\nSM\r\n\r', undefined],
    ['PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'http2'],
    ['PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0', 'http2'],
    ['PRI /x HTTP/1.1\r\n', 'http1'],
    ['GET', undefined],
    ['GET ', 'http1'],
    ['M-SEARCH * HTTP/1.1', 'http1'],
    [' GET / HTTP/1.1', 'tcp'],
    ['get / HTTP/1.1', 'tcp'],
    ['\x16\x03\x01', 'tcp'],
    ['A'.repeat(24), undefined],
    ['A'.repeat(26), 'tcp'],
    ['SSH-2.0-OpenSSH', 'tcp'],
  ];
  for (const [text, wanted] of cases) {
    it(`takes ${JSON.stringify(text.slice(0, 30))} for ${wanted ?? 'too little'}`, () => {
      assert.equal(sniffBytes(bytes(text)), wanted);
    });
  }

  it('says the same however the bytes arrive', () => {
    const start = fc.oneof(
      fc.constantFrom('GET /', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'POST', ''),
      fc.string(),
    );
    fc.assert(
      fc.property(start, fc.uint8Array({ maxLength: 40 }), (text, rest) => {
        const all = Buffer.concat([bytes(text), rest]);
        const whole = sniffBytes(all);
        for (let length = 0; length <= all.length; length += 1) {
          const early = sniffBytes(all.subarray(0, length));
          assert.ok(early === undefined || early === whole);
        }
      }),
    );
  });
});

describe('mayBeHttp1', () => {
  for (const [text, wanted] of [
    ['', true],
    ['GET / HTTP/1.1', true],
    ['GET / HTTP/1.1\r\nhost: a', true],
    ['GET / HTTP/1.0\n', true],
    ['INVALID CONNECTION PREFACE\r\n\r\n', false],
    ['GET / HTTP/2.0\r\n', false],
    ['\n', false],
  ] as const) {
    it(`says ${wanted} of ${JSON.stringify(text)}`, () => {
      assert.equal(mayBeHttp1(bytes(text)), wanted);
    });
  }
});

class FakeConn implements ByteConn {
  readonly remoteAddress = '';
  readonly remotePort = 0;
  readonly localAddress = '';
  readonly localPort = 0;
  sink: ByteSink | undefined;
  isPaused = false;

  start(sink: ByteSink): void {
    this.sink = sink;
  }
  write(): boolean {
    return true;
  }
  end(): void {}
  pause(): void {
    this.isPaused = true;
  }
  resume(): void {
    this.isPaused = false;
  }
  destroy(): void {}
}

async function collect(conn: ByteConn): Promise<{ events: string[] }> {
  const events: string[] = [];
  conn.start({
    onData: (chunk) => events.push(`data ${Buffer.from(chunk).toString()}`),
    onEnd: () => events.push('end'),
    onDrain: () => events.push('drain'),
    onClose: () => events.push('close'),
  });
  await Promise.resolve();
  return { events };
}

describe('sniff', () => {
  it('delivers every byte again, in order, and reads nothing meanwhile', async () => {
    const conn = new FakeConn();
    const sniffed = sniff(conn, { clock: new FakeClock() });
    conn.sink?.onData(bytes('GE'));
    conn.sink?.onData(bytes('T /'));
    const { protocol, conn: peeked } = await sniffed;
    assert.equal(protocol, 'http1');
    assert.equal(conn.isPaused, true);
    const { events } = await collect(peeked);
    assert.equal(conn.isPaused, false);
    conn.sink?.onData(bytes('x'));
    conn.sink?.onEnd();
    assert.deepEqual(events, ['data GE', 'data T /', 'data x', 'end']);
  });

  it('does not let an end overtake what was held', async () => {
    const conn = new FakeConn();
    const sniffed = sniff(conn, { clock: new FakeClock() });
    conn.sink?.onData(bytes('\0'));
    const { protocol, conn: peeked } = await sniffed;
    assert.equal(protocol, 'tcp');
    conn.sink?.onEnd();
    conn.sink?.onClose();
    const { events } = await collect(peeked);
    assert.deepEqual(events, ['data \0', 'end', 'close']);
  });

  it('takes a client that is silent, or leaves, for TCP', async () => {
    const clock = new FakeClock();
    const silent = sniff(new FakeConn(), { clock, timeoutMs: 10 });
    clock.advance(10);
    assert.equal((await silent).protocol, 'tcp');
    const conn = new FakeConn();
    const leaving = sniff(conn, { clock });
    conn.sink?.onData(bytes('GE'));
    conn.sink?.onEnd();
    assert.equal((await leaving).protocol, 'tcp');
  });
});
