/** The order of phases, that each is done where the table says, and that documents tell them as they are. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { PHASES } from '@ambit/routing';
import { PHASE_CODE, REQUEST_PHASES } from './table.ts';

const sourceOf = (file: string): URL => new URL(`../${file}`, import.meta.url);

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

describe('each phase is done where the table says', () => {
  for (const { name } of PHASES) {
    const { files, run } = PHASE_CODE[name];
    it(`${name}: ${files.join(', ')}`, async () => {
      assert.ok(files.length > 0, 'nowhere');
      for (const file of files) {
        const url = sourceOf(file);
        assert.match(
          readFileSync(url, 'utf8').slice(0, 300),
          new RegExp(`Phase \`${name}\``),
          file,
        );
        const exported = Object.values((await import(url.href)) as Record<string, unknown>);
        assert.ok(run === undefined || exported.includes(run), `${file} exports what runs`);
      }
    });
  }
});

it('stands in ARCHITECTURE.md as it is', () => {
  const text = readFileSync(sourceOf('../../../ARCHITECTURE.md'), 'utf8');
  const told = PHASES.map(({ name }) => name).join(', ');
  assert.ok(text.replace(/\s+/g, ' ').includes(told), told);
});

it('stands in docs/waypoints.md with what each does', () => {
  const text = readFileSync(sourceOf('../../../docs/waypoints.md'), 'utf8');
  const rows = PHASES.map(({ name, does }) => `| \`${name}\` | ${does} |\n`).join('');
  assert.ok(text.includes(`| phase | does |\n|---|---|\n${rows}\n`), rows);
});
