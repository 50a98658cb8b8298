import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { authorityOf } from './outbound-choice.ts';

describe('authorityOf', () => {
  const cases = [
    ['a name that was looked up', 'hbone', 'dns', 'vm.example:80', '10.0.0.9', '10.0.0.9:80'],
    ['one with an IPv6 address', 'hbone', 'dns', 'vm.example:80', 'fd00::9', '[fd00::9]:80'],
    ['an address', 'hbone', 'ip', '10.0.0.1:80', '10.0.0.1', '10.0.0.1:80'],
    ['a waypoint by name', 'waypoint', 'dns', '10.1.0.1:80', '10.0.0.9', '10.1.0.1:80'],
  ] as const;
  for (const [what, kind, dialKind, authority, address, wanted] of cases) {
    it(`names what is dialled: ${what}`, () => {
      const dial = { kind: dialKind, host: 'vm.example', port: 15_008 };
      assert.equal(authorityOf({ kind, dial, authority }, address), wanted);
    });
  }
});
