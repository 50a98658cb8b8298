import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { Condition, ObjectStatus } from '@ambit/model';

import { problemsOf } from './problems.ts';

function status(key: string, ...conditions: readonly string[]): ObjectStatus {
  const parsed = conditions.map((text): Condition => {
    const [, type = '', value = '', reason = ''] = /^(\w+)=(\w+) (\w+)$/.exec(text) ?? [];
    const isKnown = value === 'True' || value === 'False' ? value : 'Unknown';
    return { type, status: isKnown, reason, message: 'why', observedGeneration: 1 };
  });
  return { key, conditions: parsed, findings: [] };
}

describe('problemsOf', () => {
  const POLICY = 'AuthorizationPolicy/a/b';
  const cases: readonly (readonly [string, ObjectStatus, readonly string[]])[] = [
    ['what is in force', status(POLICY, 'Accepted=True Accepted', 'Enforced=True Enforced'), []],
    ['what nothing is said of', status(POLICY), []],
    [
      'what is refused',
      status(POLICY, 'Accepted=False Invalid', 'Enforced=False Refused'),
      ['Invalid'],
    ],
    ['what a proxy refuses', status(POLICY, 'Enforced=False Refused'), ['NotEnforced']],
    ['what a proxy may not have', status(POLICY, 'Enforced=Unknown Unreachable'), ['NotEnforced']],
    ['what nobody is enrolled for', status(POLICY, 'Enforced=False NotEnrolled'), []],
    [
      'what selects nothing',
      status(POLICY, 'Attached=False NoEffect', 'Enforced=False NotAttached'),
      [],
    ],
    // These were taken for what selects nothing.
    ...['NamespaceForeign', 'Conflicted', 'TargetNotFound'].map(
      (reason): readonly [string, ObjectStatus, readonly string[]] => [
        `what is attached to nothing: ${reason}`,
        status(POLICY, `Attached=False ${reason}`, 'Enforced=False NotAttached'),
        ['NotEnforced'],
      ],
    ),
    [
      'a route that nobody follows',
      status('HTTPRoute/a/b', 'Accepted=True Accepted', 'Enforced=False WaypointOptedOut'),
      ['NotEnforced'],
    ],
    [
      'a route of parents that are not ours',
      status('HTTPRoute/a/b', 'Accepted=False UnsupportedField', 'Enforced=False NotAccepted'),
      [],
    ],
    ['a kind that is not served', status('Sidecar/a/b', 'Accepted=False UnsupportedKind'), []],
    [
      'a waypoint that is not ready',
      status('Gateway/a/b', 'Accepted=True Accepted', 'Programmed=False Pending'),
      ['WaypointNotReady'],
    ],
    ["another's Gateway", status('Gateway/a/b', 'Accepted=False UnsupportedClass'), []],
  ];
  for (const [title, object, expected] of cases) {
    it(`tells ${expected.join(' and ') || 'nothing'} of ${title}`, () => {
      assert.deepEqual(
        problemsOf(object).map(({ reason }) => reason),
        expected,
      );
    });
  }

  it('keeps the note within what the server takes', () => {
    const [condition] = status(POLICY, 'Enforced=False Refused').conditions;
    assert.ok(condition);
    for (const message of ['ä😀\n'.repeat(400), 'x'.repeat(5_000)]) {
      const [found] = problemsOf({
        key: POLICY,
        conditions: [{ ...condition, message }],
        findings: [],
      });
      assert.ok(found);
      const bytes = Buffer.byteLength(found.note);
      assert.ok(bytes <= 1_024 && bytes > 1_000 && found.note.isWellFormed(), String(bytes));
      assert.match(found.note, /^Refused: [^\n\uFFFD]*…$/);
    }
  });
});
