import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { compile, type RuleParts } from './fixtures/objects.ts';
import { l4Only } from './l4-only.ts';

describe('l4Only', () => {
  const l7: RuleParts = { to: [{ methods: ['GET'] }], from: [{ namespaces: ['shop'] }] };

  it('returns the same object when there is nothing to take away', () => {
    const { compiled } = compile([{ to: [{ ports: ['80'] }] }]);
    assert.equal(l4Only(compiled), compiled);
  });

  it('drops an ALLOW rule with HTTP kinds, which leaves a policy that allows nothing', () => {
    assert.deepEqual(l4Only(compile([l7]).compiled).rules, []);
  });

  it('drops the clause of a DENY that only had HTTP kinds, never the rule', () => {
    const { rules } = l4Only(compile([l7], { action: 'DENY' }).compiled);
    assert.deepEqual(
      rules.map((rule) => rule.clauses.map((clause) => clause.origin)),
      [['from']],
    );
    const onlyL7 = l4Only(compile([{ to: [{ methods: ['GET'] }] }], { action: 'DENY' }).compiled);
    assert.deepEqual(onlyL7.rules, [{ clauses: [] }]);
  });

  it('keeps the L4 part of a mixed DENY match', () => {
    const { rules } = l4Only(
      compile([{ to: [{ methods: ['GET'], ports: ['80'] }] }], { action: 'DENY' }).compiled,
    );
    const match = rules[0]?.clauses[0]?.matches[0];
    assert.deepEqual(match?.l4.destinationPorts, [80]);
    assert.equal(match?.l7, undefined);
  });
});
