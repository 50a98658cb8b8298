import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type CpuProfile, summarizeProfile } from './cpu-profile.ts';

const frame = (functionName: string, url = '') => ({ functionName, url, lineNumber: 4 });
const PROFILE: CpuProfile = {
  nodes: [
    { id: 1, callFrame: frame('(root)'), children: [2, 3] },
    { id: 2, callFrame: frame('(idle)') },
    { id: 3, callFrame: frame('push', 'file:///r/libs/h2/src/a.ts'), children: [4, 5] },
    { id: 4, callFrame: frame('write', 'node:net') },
    { id: 5, callFrame: frame('', 'file:///r/libs/h2/src/b.ts') },
  ],
  samples: [2, 3, 4, 4, 5],
  timeDeltas: [9_000, 1_000, 2_000, 4_000, 3_000],
};

describe('summarizeProfile', () => {
  it('tells shares of what was not idle, and stacks', () => {
    assert.deepEqual(summarizeProfile(PROFILE, '/r'), {
      busyMs: 10,
      self: [
        ['write node:net', 60],
        ['line 5 libs/h2/src/b.ts', 30],
        ['push libs/h2/src/a.ts', 10],
      ],
      stacks: [
        'push libs/h2/src/a.ts;write node:net 6',
        'push libs/h2/src/a.ts;line 5 libs/h2/src/b.ts 3',
        'push libs/h2/src/a.ts 1',
      ],
    });
  });

  it('leaves out what was before', () => {
    assert.deepEqual(summarizeProfile(PROFILE, '/r', 6).self, [
      ['write node:net', 57.1],
      ['line 5 libs/h2/src/b.ts', 42.9],
    ]);
  });

  it('refuses a profile of nothing', () => {
    assert.throws(() => summarizeProfile({ ...PROFILE, samples: [] }, '/r'), RangeError);
  });
});
