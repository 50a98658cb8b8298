import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { FakeClock } from '@ambit/core/testing';
import { HboneError } from '@ambit/hbone';
import { fromIoError } from '@ambit/proxy';
import { behind, isUnanswered, silentOne, Unanswered } from './unanswered.ts';

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

describe('silentOne', () => {
  const error = (code: 'HBONE_STATUS' | 'HBONE_TUNNEL_LOST', status?: number) =>
    new HboneError(code, 'x', { side: 'upstream', ...(status !== undefined && { status }) });

  it('is the way to one destination where somebody answered that it is dead', () => {
    const unanswered = new Unanswered(new FakeClock());
    unanswered.failed(silentOne(error('HBONE_STATUS', 503), 'w', '10.1.0.1:80'));
    assert.equal(unanswered.has(behind('w', '10.1.0.1:80')), true);
    assert.equal(unanswered.has(behind('w', '10.1.0.2:80')), false);
    assert.equal(unanswered.has('w'), false);
  });

  it('is the endpoint itself where nobody answered', () => {
    assert.equal(silentOne(error('HBONE_TUNNEL_LOST'), 'w', '10.1.0.1:80'), 'w');
  });
});

describe('isUnanswered', () => {
  const status = (code: number) =>
    new HboneError('HBONE_STATUS', `http status: ${code}`, { side: 'upstream', status: code });
  const refused = Object.assign(new Error('refused'), { code: 'ECONNREFUSED' });
  for (const [what, error, expected] of [
    ['nobody listens', fromIoError(refused, 'upstream'), true],
    ['it is somebody else', new HboneError('HBONE_PEER_IDENTITY', 'x', { side: 'upstream' }), true],
    ['it does not serve the address', status(400), true],
    ['nobody is behind it', status(503), true],
    ['policy of an agent or waypoint says no', status(401), false],
    ['policy of a proxy of others says no', status(403), false],
    [
      'this side has no certificate',
      new HboneError('HBONE_NO_CERTIFICATE', 'x', { side: 'control-plane' }),
      false,
    ],
    ['this side is at a bound', new HboneError('HBONE_LIMIT', 'x', { side: 'local' }), false],
    ['the client went away', new HboneError('HBONE_ABORTED', 'x', { side: 'downstream' }), false],
    ['it is a defect', new Error('x'), false],
  ] as const) {
    it(`is ${expected} where ${what}`, () => {
      assert.equal(isUnanswered(error), expected);
    });
  }
});
