import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { bars, Paper } from './demo-paint.ts';

describe('bars', () => {
  it('shows each count as its share, in the order of the names', () => {
    const [first = '', second = ''] = bars({ v2: 20, v1: 80 }).split('\n');
    assert.match(first, /^v1 {2}█{32} +80\.0 % {2}\(80\)$/);
    assert.match(second, /^v2 {2}█{8} +20\.0 % {2}\(20\)$/);
  });

  it('shows one of a million, and nothing of nothing', () => {
    assert.match(bars({ rare: 1, common: 999_999 }), /rare {4}█ +0\.0 % {2}\(1\)/);
    assert.match(bars({ none: 0 }), /^none {2} +0\.0 % {2}\(0\)$/);
    assert.equal(bars({}), '');
  });
});

describe('Paper', () => {
  const write = (hasColor: boolean): string => {
    let text = '';
    const paper = new Paper({ hasColor, write: (part) => (text += part) });
    paper.object('# a comment\nkind: Namespace\n');
    paper.labelled('try', 'one\ntwo');
    paper.failed('reason');
    return text;
  };

  it('writes plain text where there is no terminal', () => {
    assert.equal(write(false), '    kind: Namespace\n  try    one\n         two\n  ✘ reason\n');
  });

  it('ends every colour that it starts', () => {
    const text = write(true);
    assert.equal(text.match(/\[(?:1|2|31|36)m/g)?.length, text.match(/\[(?:22|39)m/g)?.length);
  });
});
