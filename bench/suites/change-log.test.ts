import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ChangeLog } from './change-log.ts';

const is = (wanted: string) => (state: string) => state === wanted;

describe('ChangeLog', () => {
  it('takes a change for answered when all agents hold what it made', () => {
    const log = new ChangeLog();
    const change = log.add({ name: 'a', dueNs: 1n, isMade: is('two') });
    log.answered('b', 'two', 2n);
    log.answered('a', 'one', 3n);
    assert.deepEqual(log.unanswered(), [change]);
    log.answered('a', 'two', 4n);
    log.answered('a', 'one', 5n);
    assert.equal(change.answeredNs, 4n);
    assert.deepEqual(log.unanswered(), []);
  });

  it('takes changes of one object that arrive as one for answered together', () => {
    const log = new ChangeLog();
    const [first, second, third] = ['one', 'two', 'three'].map((state) =>
      log.add({ name: 'a', dueNs: 0n, isMade: is(state) }),
    );
    log.answered('a', 'two', 7n);
    assert.deepEqual(
      [first?.answeredNs, second?.answeredNs, third?.answeredNs],
      [7n, 7n, undefined],
    );
    log.answered('a', 'one', 8n);
    assert.deepEqual(log.unanswered(), [third]);
    log.answered('a', 'three', 9n);
    assert.equal(third?.answeredNs, 9n);
  });

  it('takes a change for seen by its mark, also when the watch was faster than the write', () => {
    const log = new ChangeLog();
    const change = log.add({ name: 'a', dueNs: 0n, isMade: is('two') });
    log.watched('17', 5n);
    assert.deepEqual(log.unseen(), [change]);
    change.mark = '17';
    assert.deepEqual(log.unseen(), []);
    assert.equal(change.seenNs, 5n);
  });
});
