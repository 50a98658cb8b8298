import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { describe, it } from 'node:test';
import { RequestBody } from './request-body.ts';

async function read(stream: Readable | undefined): Promise<string> {
  assert.ok(stream !== undefined);
  const chunks: Buffer[] = [];
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}

describe('RequestBody', () => {
  it('can be read again after it ended', async () => {
    const body = new RequestBody(Readable.from([Buffer.from('ab'), Buffer.from('cd')]));
    assert.equal(await read(body.open()), 'abcd');
    assert.equal(await read(body.open()), 'abcd');
    assert.equal(body.bytes, 4);
    await body.ended;
  });

  it('can be read again in the middle, and the reader before is cut', async () => {
    const source = new Readable({ read: () => undefined });
    const body = new RequestBody(source);
    const first = body.open();
    source.push('ab');
    await new Promise((resolve) => setImmediate(resolve));
    const second = body.open();
    source.push('cd');
    source.push(null);
    assert.equal(await read(second), 'abcd');
    assert.equal(first?.destroyed, true);
  });

  it('cannot be replayed beyond its bound, but goes on to its reader', async () => {
    const body = new RequestBody(Readable.from([Buffer.alloc(6), Buffer.alloc(6)]), {
      replayBytesMax: 10,
    });
    assert.equal((await read(body.open())).length, 12);
    assert.equal(body.isReplayable, false);
    assert.equal(body.open(), undefined);
  });

  it('breaks off for everyone when the client does', async () => {
    const source = new Readable({ read: () => undefined });
    const body = new RequestBody(source);
    const mirror = body.tap();
    const reader = body.open();
    source.push('ab');
    source.destroy();
    await assert.rejects(read(reader));
    await assert.rejects(read(mirror));
    await assert.rejects(body.ended);
    assert.equal(body.isReplayable, false);
  });

  it('copies to a mirror, and cuts one that lags', async () => {
    const chunks = Array.from({ length: 40 }, () => Buffer.alloc(64 * 1024));
    const body = new RequestBody(Readable.from(chunks));
    const slow = body.tap();
    assert.equal((await read(body.open())).length, 40 * 64 * 1024);
    assert.equal(slow.destroyed, true);
    const small = new RequestBody(Readable.from([Buffer.from('x')]));
    const mirror = small.tap();
    await read(small.open());
    assert.equal(await read(mirror), 'x');
  });

  it('reads only so much of a body that nobody wants', async () => {
    const source = new Readable({
      read() {
        this.push(Buffer.alloc(256 * 1024));
      },
    });
    const body = new RequestBody(source);
    body.discard();
    await new Promise((resolve) => source.once('close', resolve));
    assert.ok(body.bytes <= 2 * 1024 * 1024, `${body.bytes} bytes were read`);
  });
});
