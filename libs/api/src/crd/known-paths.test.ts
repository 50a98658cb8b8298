import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { knownPaths } from './known-paths.ts';

describe('knownPaths', () => {
  const known = knownPaths('networking.istio.io', 'VirtualService');
  for (const [path, isKnown] of [
    ['spec.http[].timeout', true],
    ['spec.http[].match[].headers.*', true],
    ['spec.http[].match[].headers.*.exact', true],
    ['spec.http[].match[].statPrefix', true],
    ['spec.http[].fault.delay.percent', true],
    ['spec.http[].websocketUpgrade', true],
    ['spec.http[].timeouts', false],
    ['spec.http.timeout', false],
    ['', true],
  ] as const) {
    it(`${isKnown ? 'knows' : 'does not know'} "${path}"`, () =>
      assert.equal(known?.has(path), isKnown));
  }

  for (const [group, kind] of [
    ['', 'Pod'],
    ['networking.istio.io', 'Sidecar'],
    ['networking.istio.io', 'constructor'],
  ] as const) {
    it(`has nothing to say of ${kind}`, () => assert.equal(knownPaths(group, kind), undefined));
  }
});
