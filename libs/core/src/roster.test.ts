import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Roster } from './roster.ts';

describe('Roster', () => {
  it('has who was added and not deleted, as a Set would', () => {
    const members = Array.from({ length: 6 }, (_, name) => ({ name, rosterSlot: -1 }));
    const roster = new Roster<(typeof members)[number]>();
    const expected = new Set<(typeof members)[number]>();
    // Every second step deletes: the last, the first, one between, one that is not there.
    for (const [step, at] of [0, 0, 1, 2, 1, 3, 3, 4, 5, 0, 4, 2, 5, 5].entries()) {
      const member = members[at];
      assert.ok(member);
      if (expected.has(member) || step % 5 === 4) {
        assert.equal(roster.delete(member), expected.delete(member), `step ${step}`);
      } else {
        roster.add(member);
        expected.add(member);
      }
      assert.deepEqual(new Set(roster.all()), expected, `step ${step}`);
      assert.equal(roster.size, expected.size);
      for (const one of members) {
        assert.equal(roster.has(one), expected.has(one), `step ${step}`);
      }
    }
  });
});
