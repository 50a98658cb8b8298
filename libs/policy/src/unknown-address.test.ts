/** An endpoint that is known by its name alone passed for one at 0.0.0.0: no DENY of addresses held for it. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { evaluate } from './evaluate.ts';
import { compile, request, tcp } from './fixtures/objects.ts';

const BLOCK = ['169.254.0.0/16'];

describe('an address that nobody knows', () => {
  for (const [action, field, of, expected] of [
    ['DENY', 'values', undefined, 'deny'],
    ['DENY', 'notValues', undefined, 'deny'],
    ['ALLOW', 'values', undefined, 'no-match'],
    ['ALLOW', 'notValues', undefined, 'no-match'],
    ['DENY', 'values', [10, 0, 0, 1], 'no-policy'],
    ['DENY', 'notValues', [169, 254, 0, 1], 'no-policy'],
    ['ALLOW', 'values', [169, 254, 0, 1], 'allow'],
    ['ALLOW', 'notValues', [10, 0, 0, 1], 'allow'],
  ] as const) {
    it(`${action} with ${field} of ${of?.join('.') ?? 'it'}: ${expected}`, () => {
      const { compiled } = compile([{ when: [{ key: 'destination.ip', [field]: BLOCK }] }], {
        action,
      });
      const destinationIp = of === undefined ? undefined : Uint8Array.from(of);
      const input = tcp({ destinationIp });
      assert.equal(evaluate([compiled], input).reason, expected, 'a connection');
      const asked = { ...input, request: request() };
      assert.equal(evaluate([compiled], asked).reason, expected, 'a request');
    });
  }

  it('is noted by an AUDIT', () => {
    const when = [{ key: 'destination.ip', values: BLOCK }];
    const { compiled } = compile([{ when }], { action: 'AUDIT' });
    assert.equal(evaluate([compiled], tcp({ destinationIp: undefined })).audited.length, 1);
  });
});
