import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { judgeControllers, judgeMeshctl, judgeProxies } from './version-checks.ts';

const named = (versions: Readonly<Record<string, string>>) =>
  Object.entries(versions).map(([name, version]) => ({ name, version }));
const mesh = (
  controllers: Readonly<Record<string, string>>,
  proxies: Readonly<Record<string, string>> = {},
  silent: readonly string[] = [],
) => ({ controllers: named(controllers), proxies: named(proxies), silent });
const ONE = { 'controller-0': '1.4.0' };

describe('controller-versions', () => {
  for (const [title, given, result, reason] of [
    ['one version', mesh({ a: '1.4.0', b: '1.4.0' }), 'ok', '1.4.0'],
    ['two', mesh({ a: '1.4.0', b: '1.3.0' }), 'warning', 'a: 1.4.0, b: 1.3.0'],
    ['two patches', mesh({ a: '1.4.0', b: '1.4.1' }), 'warning', 'a: 1.4.0, b: 1.4.1'],
    [
      'a silent replica',
      mesh({ a: '1.4.0', b: '1.4.0' }, {}, ['b']),
      'warning',
      'b did not say, the tag is 1.4.0',
    ],
  ] as const) {
    it(`is ${result} for ${title}`, () =>
      assert.deepEqual(judgeControllers(given), { result, reason }));
  }
});

describe('meshctl-version', () => {
  for (const [meshctl, result, said] of [
    ['1.4.3', 'ok', /^1\.4\.3$/],
    ['1.5.0', 'ok', /^1\.5\.0$/],
    ['1.6.0', 'warning', /2 minor versions newer than the controller \(1\.4\.0\)/],
    ['1.3.0', 'warning', /one minor version older .*: use the one of 1\.4\.0$/],
  ] as const) {
    it(`is ${result} for ${meshctl}`, () => {
      const outcome = judgeMeshctl(mesh(ONE), meshctl);
      assert.equal(outcome.result, result);
      assert.match(outcome.reason ?? '', said);
    });
  }
});

describe('proxy-versions', () => {
  for (const [title, proxies, result, reason] of [
    ['the same version', { n1: '1.4.0', n2: '1.4.9' }, 'ok', undefined],
    ['no proxy', {}, 'ok', undefined],
    ['tags', { n1: 'latest' }, 'ok', undefined],
    [
      'the one before',
      { n1: '1.3.0', n2: '1.4.0' },
      'ok',
      "1 of 2 are of 1.3.0, 1.4.0 is the controller's",
    ],
    [
      'older ones',
      { n1: '1.2.0', n2: '1.4.0' },
      'warning',
      'n1 is of version 1.2.0, 2 minor versions older than the controller (1.4.0)',
    ],
    [
      'newer ones beside older ones',
      { n1: '1.1.0', 'shop/waypoint': '1.5.0' },
      'warning',
      'n1 is of version 1.1.0, 3 minor versions older than the controller (1.4.0); shop/waypoint is of version 1.5.0, one minor version newer than the controller (1.4.0)',
    ],
  ] as const) {
    it(`is ${result} for ${title}`, () =>
      assert.deepEqual(judgeProxies(mesh(ONE, proxies)), {
        result,
        ...(reason === undefined ? {} : { reason }),
      }));
  }
});
