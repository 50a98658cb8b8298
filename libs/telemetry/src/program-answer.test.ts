import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { answerArguments } from './program-answer.ts';

const FACTS = {
  name: 'ambit-waypoint',
  version: '1.2.3',
  summary: 'serves HTTP.',
  required: ['GATEWAY', 'POD_NAME'],
};

describe('answerArguments', () => {
  it('lets a program without arguments run', () => {
    assert.equal(answerArguments([], FACTS), undefined);
  });

  for (const flag of ['--version', '-V']) {
    it(`answers ${flag}`, () => {
      const answer = answerArguments([flag], FACTS);
      assert.equal(answer?.exitCode, 0);
      assert.match(answer?.text ?? '', /^ambit-waypoint 1\.2\.3 \(Node v\d+\.\d+\.\d+\)\n$/);
    });
  }

  for (const flag of ['--help', '-h']) {
    it(`answers ${flag} with what it is and what it needs`, () => {
      const answer = answerArguments([flag], FACTS);
      assert.equal(answer?.exitCode, 0);
      assert.match(answer?.text ?? '', /serves HTTP[\s\S]*Required: GATEWAY, POD_NAME/);
    });
  }

  for (const args of [['--verbose'], ['start'], ['--version', 'x'], [''], ['--port=1']]) {
    it(`refuses ${JSON.stringify(args)} and names it`, () => {
      const answer = answerArguments(args, FACTS);
      const wrong = args.find((arg) => arg !== '--version') ?? '';
      assert.equal(answer?.exitCode, 2);
      assert.ok(answer?.text.includes(`unknown argument "${wrong}"`), answer?.text);
    });
  }

  it('cuts what it quotes', () => {
    const answer = answerArguments(['x'.repeat(10_000)], FACTS);
    assert.ok((answer?.text.length ?? 0) < 250);
  });
});
