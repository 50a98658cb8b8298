import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { Finding } from '@ambit/api';

import { textWithFindings } from './condition-text.ts';

const finding = (index: number, changes: Partial<Finding> = {}): Finding => ({
  code: 'INVALID_DURATION',
  severity: 'warning',
  path: `spec.http[${index}].timeout`,
  message: 'is not a duration',
  found: '5',
  allowed: 'a number with a unit',
  fix: 'give it a unit: 5s',
  ...changes,
});

describe('textWithFindings', () => {
  it('says where, what was found, what is allowed and how to fix it', () => {
    assert.equal(
      textWithFindings('valid', [finding(0)]),
      'valid\nwarning: spec.http[0].timeout is not a duration (found 5; allowed: a number with a unit). Fix: give it a unit: 5s. [INVALID_DURATION]',
    );
  });

  it('is the message alone without findings', () => {
    assert.equal(textWithFindings('valid', []), 'valid');
  });

  it('says errors first', () => {
    const text = textWithFindings('x', [finding(0), finding(1, { severity: 'error' })]);
    assert.deepEqual(
      text.split('\n').map((line) => line.split(':')[0]),
      ['x', 'error', 'warning'],
    );
  });

  it('counts what does not fit', () => {
    const findings = Array.from({ length: 100 }, (_, index) => finding(index));
    const text = textWithFindings('valid', findings);
    const lines = text.split('\n');
    assert.equal(lines.at(-1), `and ${100 - (lines.length - 2)} more findings`);
    assert.ok(text.length <= 1_024 && lines.length > 4, String(text.length));
  });

  it('cuts the first finding rather than leave it out', () => {
    const text = textWithFindings('x', [finding(0, { message: 'is long '.repeat(200) })]);
    assert.match(text, /^x\nwarning: spec\.http\[0\]\.timeout is long .*…$/s);
    assert.ok(text.length <= 1_024);
  });

  it('cuts between characters', () => {
    const text = textWithFindings('😀'.repeat(2_000), []);
    assert.ok(text.isWellFormed() && text.length <= 1_024);
  });
});
