/** The corpus of desync attacks: each is refused for its own reason, or has one meaning. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { collectRequests } from './fixtures/collect.ts';
import { SMUGGLING_CASES } from './fixtures/smuggling.ts';

const NEXT = 'GET /next HTTP/1.1\r\nHost: a\r\n\r\n';

describe('the smuggling corpus', () => {
  for (const { name, bytes, refused } of SMUGGLING_CASES) {
    it(`${refused ?? 'reads'}: ${name}`, () => {
      const { messages, refused: found } = collectRequests([bytes]);
      assert.equal(found, refused);
      if (refused !== undefined) {
        return;
      }
      assert.equal(messages.length, 1);
      const [, second] = collectRequests([bytes, NEXT]).messages;
      assert.equal(second?.head.path, '/next', 'what follows is the next request');
    });
  }

  it('has as many refusals as it should', () => {
    const read = SMUGGLING_CASES.filter(({ refused }) => refused === undefined).length;
    assert.ok(read >= 15 && SMUGGLING_CASES.length - read >= 80);
  });
});
