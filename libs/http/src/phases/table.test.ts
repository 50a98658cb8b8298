/** The order of phases, and that documents tell it as it is. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { it } from 'node:test';
import { PHASES, REQUEST_PHASES } from './table.ts';

it('decides who may call before anything answers or is asked', () => {
  const names = PHASES.map(({ name }) => name);
  assert.equal(new Set(names).size, names.length);
  const authorise = names.indexOf('authorise');
  for (const later of ['route', 'cors', 'fault', 'answer', 'forward', 'respond'] as const) {
    assert.ok(authorise < names.indexOf(later), later);
  }
  assert.deepEqual(
    REQUEST_PHASES.map(({ name }) => name),
    names.slice(2, 10),
    'those that run are one after another',
  );
});

it('stands in ARCHITECTURE.md as it is', () => {
  const text = readFileSync(new URL('../../../../ARCHITECTURE.md', import.meta.url), 'utf8');
  const told = PHASES.map(({ name }) => name).join(', ');
  assert.ok(text.replace(/\s+/g, ' ').includes(told), told);
});
