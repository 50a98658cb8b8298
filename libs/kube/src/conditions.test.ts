import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Condition, mergeConditions, type WantedCondition } from './conditions.ts';

const THEN = '2026-01-01T00:00:00Z';
const NOW = '2026-06-01T12:00:00Z';
const wallNowMs = Date.parse('2026-06-01T12:00:00.789Z');

function wanted(over: Partial<WantedCondition> = {}): WantedCondition {
  const base = { type: 'Accepted', status: 'True', reason: 'Accepted', message: 'ok' } as const;
  return { ...base, observedGeneration: 3, ...over };
}

const current: readonly Condition[] = [
  { type: 'Foreign', status: 'False', reason: 'X', message: 'x', lastTransitionTime: THEN },
  { ...wanted(), lastTransitionTime: THEN },
];

describe('mergeConditions', () => {
  it('answers the same array when nothing changes', () => {
    assert.equal(mergeConditions(current, [wanted()], { wallNowMs }), current);
    assert.equal(mergeConditions(current, [], { wallNowMs, remove: ['Other'] }), current);
  });

  const changes: readonly [string, Partial<WantedCondition>, string][] = [
    ['a new status', { status: 'False', reason: 'Invalid' }, NOW],
    ['a new reason', { reason: 'Other' }, THEN],
    ['a new message', { message: 'other' }, THEN],
    ['a new generation', { observedGeneration: 4 }, THEN],
  ];
  for (const [name, over, time] of changes) {
    it(`takes ${name} with the right time, and leaves the others`, () => {
      const merged = mergeConditions(current, [wanted(over)], { wallNowMs });
      assert.equal(merged[0], current[0]);
      assert.deepEqual(merged[1], { ...wanted(over), lastTransitionTime: time });
    });
  }

  it('adds and removes', () => {
    const merged = mergeConditions(current, [wanted({ type: 'Enforced' })], {
      wallNowMs,
      remove: ['Accepted'],
    });
    assert.deepEqual(
      merged.map((condition) => [condition.type, condition.lastTransitionTime]),
      [
        ['Foreign', THEN],
        ['Enforced', NOW],
      ],
    );
    assert.deepEqual(mergeConditions(undefined, [], { wallNowMs }), []);
  });

  it('keeps what was observed of a newer generation', () => {
    const late = wanted({ status: 'False', observedGeneration: 2 });
    assert.equal(mergeConditions(current, [late], { wallNowMs }), current);
  });

  it('cuts a message at the limit of the API', () => {
    const merged = mergeConditions([], [wanted({ message: 'x'.repeat(40_000) })], { wallNowMs });
    assert.equal(merged[0]?.message.length, 32_768);
    const again = mergeConditions(merged, [wanted({ message: 'x'.repeat(40_000) })], { wallNowMs });
    assert.equal(again, merged);
  });
});
