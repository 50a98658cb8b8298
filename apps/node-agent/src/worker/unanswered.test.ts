import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { FakeClock } from '@ambit/core/testing';
import { Unanswered } from './unanswered.ts';

describe('Unanswered', () => {
  it('remembers for ten seconds', () => {
    const clock = new FakeClock();
    const unanswered = new Unanswered(clock);
    assert.equal(unanswered.has('a'), false);
    unanswered.failed('a');
    assert.equal(unanswered.has('a'), true);
    assert.equal(unanswered.has('b'), false);
    clock.advance(9_999);
    assert.equal(unanswered.has('a'), true);
    clock.advance(1);
    assert.equal(unanswered.has('a'), false);
  });

  it('lets one try again, and the others when that has got through', () => {
    const clock = new FakeClock();
    const unanswered = new Unanswered(clock);
    unanswered.failed('a');
    clock.advance(10_000);
    unanswered.tries('a');
    assert.equal(unanswered.has('a'), true);
    unanswered.answered('a');
    assert.equal(unanswered.has('a'), false);
    assert.equal(unanswered.size, 0);
  });

  it('remembers nothing of whom it never missed', () => {
    const unanswered = new Unanswered(new FakeClock());
    unanswered.tries('a');
    unanswered.answered('a');
    assert.equal(unanswered.has('a'), false);
    assert.equal(unanswered.size, 0);
  });

  it('forgets the oldest beyond its bound', () => {
    const unanswered = new Unanswered(new FakeClock());
    for (let i = 0; i < 300; i += 1) {
      unanswered.failed(String(i));
    }
    assert.equal(unanswered.size, 256);
    assert.equal(unanswered.has('43'), false);
    assert.equal(unanswered.has('44'), true);
  });
});
