import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseResolvConf } from './resolv-conf.ts';

describe('parseResolvConf', () => {
  const cases: readonly (readonly [string, readonly string[]])[] = [
    ['', []],
    ['nameserver 10.0.0.1\nsearch a.b\noptions ndots:5\n', ['10.0.0.1']],
    ['  nameserver\tfd00::1 # comment\nnameserver 10.0.0.2', ['fd00::1', '10.0.0.2']],
    [
      'nameserver 1.1.1.1\nnameserver 2.2.2.2\nnameserver 3.3.3.3\nnameserver 4.4.4.4',
      ['1.1.1.1', '2.2.2.2', '3.3.3.3'],
    ],
    [
      '#nameserver 10.0.0.1\n;nameserver 10.0.0.2\nnameserver\nnameserver example.com\nnameserver fe80::1%eth0',
      [],
    ],
  ];
  for (const [text, expected] of cases) {
    it(`finds ${expected.join(' ') || 'nothing'} in ${JSON.stringify(text).slice(0, 60)}`, () => {
      assert.deepEqual(
        parseResolvConf(text),
        expected.map((address) => ({ address, port: 53 })),
      );
    });
  }
});
