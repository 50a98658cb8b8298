import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { type Held, leaverFor } from './session-shares.ts';

interface Named extends Held {
  readonly name: string;
}

/** `identity@address*streams`, the one that is idle for longest first. */
function held(...texts: readonly string[]): Named[] {
  return texts.map((text, at) => {
    const [, identity = '', address = '', streams = '0'] =
      /^(\w+)@(\w+)(?:\*(\d+))?$/.exec(text) ?? [];
    const name = `${at} ${text}`;
    return { name, identity, address, openStreams: Number(streams), idleSinceMs: at };
  });
}

const times = (count: number, text: string): string[] => new Array<string>(count).fill(text);

const EIGHT = [1, 2, 3, 4, 5, 6, 7, 8];

describe('leaverFor', () => {
  const cases: readonly (readonly [
    name: string,
    newcomer: string,
    sessions: readonly string[],
    leaver: string | undefined,
  ])[] = [
    ['the longest idle one of who has most', 'b@1', ['c@1', ...times(3, 'a@1')], '1 a@1'],
    ['not one in use while another is idle', 'b@1', ['a@1*1', 'a@1', 'a@1*9'], '1 a@1'],
    [
      'an idle one of who has less than most, before one in use',
      'b@1',
      [...times(4, 'a@1*1'), ...times(2, 'c@1')],
      '4 c@1',
    ],
    [
      'of the address that has most of the identity with most',
      'b@1',
      ['a@1', ...times(2, 'a@2')],
      '1 a@2',
    ],
    ['of another address of the own identity', 'a@2', times(2, 'a@1'), '0 a@1'],
    [
      'the one in use with fewest streams, the youngest',
      'b@1',
      ['a@1*2', 'a@1*1', 'a@1*1', 'a@1*3'],
      '2 a@1*1',
    ],
    [
      'one in use of an identity at many addresses',
      'b@1',
      EIGHT.flatMap((at) => times(2, `a@${at}*1`)),
      '15 a@8*1',
    ],
    [
      'one in use of many identities at one address',
      'b@1',
      EIGHT.flatMap((at) => times(2, `a${at}@1*1`)),
      '15 a8@1*1',
    ],
    [
      'one in use for who has some, and less than the fair share',
      'b@1',
      [...times(3, 'b@1*1'), ...times(5, 'a@1*1')],
      '7 a@1*1',
    ],
    [
      'one in use at the address with most of those of the own identity',
      'a@9',
      EIGHT.flatMap((at) => times(at === 3 ? 3 : 2, `a@${at}*1`)),
      '6 a@3*1',
    ],
    [
      'one in use of who has most, where two have more than their share',
      'b@1',
      [...times(5, 'a@1*2'), ...times(4, 'c@1*1')],
      '4 a@1*2',
    ],
    ['none for who has most', 'a@1', [...times(3, 'a@1'), 'b@1'], undefined],
    ['none for who would have as many as the other', 'b@1', ['b@1', ...times(2, 'a@1')], undefined],
    ['none of those with one each', 'z@1', ['a@1', 'b@1', 'c@1'], undefined],
    [
      'none in use of those who have their fair share',
      'b@1',
      [...times(4, 'a@1*1'), ...times(4, 'b@1*1'), ...times(4, 'c@1*1')],
      undefined,
    ],
    [
      'none in use of who has a 256th of all',
      'b@1',
      Array.from({ length: 256 }, (_, at) => times(2, `a${at}@1*1`)).flat(),
      undefined,
    ],
    [
      'none in use of the own identity, where all its addresses have the same',
      'a@1',
      EIGHT.flatMap((at) => times(2, `a@${at}*1`)),
      undefined,
    ],
    ['none where there is none', 'a@1', [], undefined],
  ];
  for (const [name, newcomer, sessions, leaver] of cases) {
    it(`finds ${name}`, () => {
      const [who] = held(newcomer);
      assert.ok(who);
      assert.equal(leaverFor(who, held(...sessions))?.name, leaver);
    });
  }
});
