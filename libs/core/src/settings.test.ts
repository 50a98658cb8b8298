import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { deepFreeze, drainMsOf, Settings } from './settings.ts';

describe('Settings', () => {
  for (const [what, value, read, want] of [
    ['an address without a scheme', 'ctl:15012', 'address', 'https://ctl:15012'],
    ['no address', '', 'address', ''],
    ['whole numbers', '4', 'integer', 4],
    ['minutes', '5m', 'duration', 300],
    ['milliseconds', '500ms', 'duration', 0.5],
    ['bare seconds', '90', 'duration', 90],
    ['flags', 'TRUE', 'flag', true],
    ['flags as numbers', '0', 'flag', false],
    ['every address', ':15020', 'endpoint', { host: '::', port: 15020 }],
    ['an IPv6 endpoint', '[::1]:0', 'endpoint', { host: '::1', port: 0 }],
  ] as const) {
    it(`reads ${what}`, () => {
      const settings = new Settings({ X: value });
      assert.deepEqual(readAs(settings, read), want);
      assert.deepEqual(settings.problems, []);
    });
  }

  for (const [value, read] of [
    ['http://ctl:15012', 'address'],
    ['ctl', 'address'],
    ['', 'integer'],
    ['0', 'integer'],
    ['9', 'integer'],
    ['1.5', 'integer'],
    ['0s', 'duration'],
    ['soon', 'duration'],
    ['-1s', 'duration'],
    ['yes', 'flag'],
    ['15020', 'endpoint'],
    ['a:b:1', 'endpoint'],
    [':65536', 'endpoint'],
  ] as const) {
    it(`refuses ${JSON.stringify(value)} as ${read}, by name, and goes on with the fallback`, () => {
      const settings = new Settings({ X: value });
      readAs(settings, read);
      assert.equal(settings.problems.length, 1);
      assert.match(settings.problems[0] ?? '', /^X "/);
    });
  }

  it('tells every problem at once', () => {
    const settings = new Settings({ A: 'x', PATH_TOO_LONG: 'p'.repeat(108) });
    settings.integer('A', { fallback: 1, min: 1, max: 8 });
    settings.required('B');
    settings.socketPath('PATH_TOO_LONG', '');
    assert.deepEqual(settings.problems, [
      'A "x" is not a whole number in 1..8',
      'B is required',
      'PATH_TOO_LONG is longer than 107 bytes',
    ]);
  });
});

describe('drainMsOf', () => {
  for (const [env, want] of [
    [{}, 5_000],
    [{ TERMINATION_GRACE_PERIOD_SECONDS: '30' }, 25_000],
    [{ TERMINATION_GRACE_PERIOD_SECONDS: '10' }, 9_000],
    [{ TERMINATION_GRACE_PERIOD_SECONDS: '1' }, 1_000],
    [{ CONNECTION_TERMINATION_DEADLINE: '7s', TERMINATION_GRACE_PERIOD_SECONDS: '30' }, 7_000],
  ] as const) {
    it(`is ${want} ms for ${JSON.stringify(env)}`, () =>
      assert.equal(drainMsOf(new Settings(env)), want));
  }
});

it('deepFreeze freezes what is inside', () => {
  assert.ok(Object.isFrozen(deepFreeze({ a: { b: [1] } }).a.b));
});

function readAs(
  settings: Settings,
  read: 'address' | 'integer' | 'duration' | 'flag' | 'endpoint',
) {
  switch (read) {
    case 'address':
      return settings.address('X', 'https://fallback:1');
    case 'integer':
      return settings.integer('X', { fallback: 1, min: 1, max: 8 });
    case 'duration':
      return settings.duration('X', 1);
    case 'flag':
      return settings.flag('X', true);
    case 'endpoint':
      return settings.endpoint('X', { host: '::', port: 1 });
  }
}
