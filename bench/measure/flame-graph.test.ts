import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { flameGraph } from './flame-graph.ts';

describe('flameGraph', () => {
  it('adds what stacks share, and draws callees above their callers', () => {
    const svg = flameGraph('of two', ['a;b 30', 'a;c 10', 'd 60']);
    assert.match(svg, /<title>a 40\.0 %<\/title>/);
    assert.match(svg, /<title>b 30\.0 %<\/title>/);
    const y = (name: string): number =>
      Number(new RegExp(`<title>${name} [^>]*><rect x="[^"]*" y="(\\d+)"`).exec(svg)?.[1]);
    assert.ok(y('b') < y('a') && y('a') < y('all'));
  });

  it('leaves out what is too narrow, however many there are', () => {
    const many = Array.from({ length: 10_000 }, (_, n) => `main;f${n} 1`);
    assert.ok(flameGraph('many', many).length < 2_000);
  });

  it('takes names as text, not as marks', () => {
    assert.match(flameGraph('<&>', ['<script>;x 1']), /&lt;script&gt; 100\.0 %/);
    assert.doesNotMatch(flameGraph('x', ['<script> 1']), /<script>/);
  });

  it('draws nothing of nothing', () => {
    assert.match(flameGraph('nothing', []), /^<svg .*<\/svg>\n$/s);
  });
});
