import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { evaluate } from './evaluate.ts';
import { compile, http } from './fixtures/objects.ts';

describe('the end of a host with a final dot', () => {
  const isHeld = (action: 'ALLOW' | 'DENY', pattern: string, host: string): boolean => {
    const { compiled } = compile([{ to: [{ hosts: [pattern] }] }], { action });
    return evaluate([compiled], http({ host })).reason === action.toLowerCase();
  };
  for (const [pattern, host, denied, allowed] of [
    ['*.example.com.', 'a.example.com.', true, true],
    ['*.example.com.', 'a.example.com', true, false],
    ['*.example.com.', 'a.example.com:81', true, false],
    ['*.example.com.:80', 'a.example.com', true, false],
    ['*.example.com.', 'example.com', false, false],
    ['*.example.com.', 'a.example.org', false, false],
    // Nothing is left of it without the dot.
    ['*.', 'a', false, false],
    ['*.', 'a.', true, true],
  ] as const) {
    it(`of ${pattern}: DENY ${denied ? 'holds' : 'does not hold'} for ${host}`, () => {
      assert.equal(isHeld('DENY', pattern, host), denied);
      assert.equal(isHeld('ALLOW', pattern, host), allowed);
    });
  }
});
