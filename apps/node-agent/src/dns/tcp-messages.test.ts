import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { TcpMessages } from './tcp-messages.ts';

describe('TcpMessages', () => {
  it('gives messages back whole, however the bytes are cut', () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 6 }),
        fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1, maxLength: 20 }),
        (messages, cuts) => {
          const bytes = Buffer.concat(messages.map((message) => TcpMessages.frame(message)));
          const seen: Buffer[] = [];
          const reader = new TcpMessages((message) => seen.push(Buffer.from(message)));
          for (let at = 0, i = 0; at < bytes.length; i++) {
            const end = at + (cuts[i % cuts.length] ?? 1);
            reader.push(bytes.subarray(at, end));
            at = end;
          }
          assert.deepEqual(
            seen,
            messages.map((message) => Buffer.from(message)),
          );
        },
      ),
    );
  });
});
