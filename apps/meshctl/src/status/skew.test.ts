import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { clientSkew, newestOf, parseVersion, proxySkew } from './skew.ts';

describe('parseVersion', () => {
  for (const [text, expected] of [
    ['0.1.0', { major: 0, minor: 1, patch: 0 }],
    ['v1.12.3', { major: 1, minor: 12, patch: 3 }],
    ['1.2.3-rc.1', { major: 1, minor: 2, patch: 3 }],
    ['1.2.3+build.7', { major: 1, minor: 2, patch: 3 }],
  ] as const) {
    it(`reads ${text}`, () => assert.deepEqual(parseVersion(text), expected));
  }
  for (const text of [
    '',
    'latest',
    '1.2',
    '1.2.x',
    '0.1.0.1',
    '-1.0.0',
    'c7a3e48',
    '1.2.3 ',
    '9999999999.0.0',
  ]) {
    it(`takes "${text}" for none`, () => assert.equal(parseVersion(text), undefined));
  }
  it('takes any text', () => {
    fc.assert(fc.property(fc.string(), (text) => void parseVersion(text)));
  });
});

describe('newestOf', () => {
  for (const [versions, expected] of [
    [[], undefined],
    [['test'], undefined],
    [['0.9.0', '0.10.0', '0.2.11'], '0.10.0'],
    [['test', '0.1.0'], '0.1.0'],
    [['0.1.1', '0.1.2', '0.1.0'], '0.1.2'],
  ] as const) {
    it(`of ${versions.join(', ') || 'none'} is ${expected}`, () =>
      assert.equal(newestOf(versions), expected));
  }
});

describe('a proxy', () => {
  for (const [proxy, controllers, state, distance] of [
    ['1.4.0', ['1.4.0'], 'same', ''],
    ['1.4.0', ['1.4.7'], 'same', ''],
    ['1.4.9', ['1.4.7'], 'same', ''],
    ['1.3.9', ['1.4.0'], 'supported', 'one minor version older'],
    ['1.3.0', ['1.3.0', '1.4.0'], 'supported', 'one minor version older'],
    ['1.4.0', ['1.3.0', '1.4.0'], 'same', ''],
    ['1.2.0', ['1.3.0', '1.4.0'], 'too-old', '2 minor versions older'],
    ['0.9.0', ['1.0.0'], 'too-old', 'one major version older'],
    ['1.5.0', ['1.4.0'], 'too-new', 'one minor version newer'],
    ['2.0.0', ['1.4.0'], 'too-new', 'one major version newer'],
    ['latest', ['1.4.0'], 'unknown', ''],
    ['1.4.0', ['test'], 'unknown', ''],
    ['1.4.0', [], 'unknown', ''],
  ] as const) {
    it(`of ${proxy} is ${state} to ${controllers.join(' and ') || 'no controller'}`, () =>
      assert.deepEqual(proxySkew(proxy, controllers), { state, distance }));
  }
});

describe('meshctl', () => {
  for (const [client, controller, state] of [
    ['1.4.0', '1.4.1', 'same'],
    ['1.5.0', '1.4.0', 'supported'],
    ['1.6.0', '1.4.0', 'too-new'],
    ['1.3.9', '1.4.0', 'too-old'],
    ['1.4.0', 'latest', 'unknown'],
  ] as const) {
    it(`of ${client} is ${state} to a controller of ${controller}`, () =>
      assert.equal(clientSkew(client, [controller]).state, state));
  }
});
