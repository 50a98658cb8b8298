import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { abortSignalOf, type Cancellation, Canceller } from './cancellation.ts';

/** What both must do alike. */
const KINDS: readonly (readonly [
  string,
  () => { abort(reason: unknown): void; signal: Cancellation },
])[] = [
  [
    'an AbortController',
    () => {
      const controller = new AbortController();
      return { abort: (reason) => controller.abort(reason), signal: controller.signal };
    },
  ],
  [
    'a Canceller',
    () => {
      const canceller = new Canceller();
      return { abort: (reason) => canceller.abort(reason), signal: canceller };
    },
  ],
];

for (const [name, make] of KINDS) {
  describe(`the signal of ${name}`, () => {
    it('tells every listener once, with the first reason', () => {
      const { abort, signal } = make();
      const told: string[] = [];
      for (const one of ['a', 'b', 'c']) {
        signal.addEventListener('abort', () => told.push(`${one} ${String(signal.reason)}`), {
          once: true,
        });
      }
      assert.equal(signal.aborted, false);
      signal.throwIfAborted();
      abort('first');
      abort('second');
      assert.deepEqual(told, ['a first', 'b first', 'c first']);
      assert.equal(signal.aborted, true);
      assert.throws(
        () => signal.throwIfAborted(),
        (error) => error === 'first',
      );
    });

    it('tells objects too, once, unless they were removed', () => {
      const { abort, signal } = make();
      const told: string[] = [];
      const listeners = ['a', 'b', 'c'].map((one) => ({ handleEvent: () => void told.push(one) }));
      for (const listener of listeners) {
        signal.addEventListener('abort', listener, { once: true });
      }
      signal.removeEventListener('abort', listeners[1] ?? assert.fail());
      abort('first');
      abort('second');
      assert.deepEqual(told, ['a', 'c']);
    });

    it('leaves out listeners that were removed, or came too late', () => {
      const { abort, signal } = make();
      const told: string[] = [];
      const a = (): void => void told.push('a');
      const b = (): void => void told.push('b');
      const c = (): void => void told.push('c');
      for (const one of [a, b, c]) {
        signal.addEventListener('abort', one, { once: true });
      }
      signal.removeEventListener('abort', b);
      signal.removeEventListener('abort', a);
      signal.removeEventListener('abort', a);
      abort('now');
      signal.addEventListener('abort', a, { once: true });
      assert.deepEqual(told, ['c']);
    });
  });
}

describe('Canceller.follow', () => {
  it('aborts with the first of those that it follows, and with none after that', () => {
    const [a, b, c] = [new Canceller(), new AbortController(), new Canceller()];
    const both = new Canceller();
    both.follow(a, undefined, b.signal);
    b.abort('b');
    a.abort('a');
    assert.equal(both.reason, 'b');
    const late = new Canceller();
    late.follow(a, c);
    assert.equal(late.reason, 'a');
    const free = new Canceller();
    free.follow(c)();
    c.abort('c');
    assert.equal(free.aborted, false);
  });
});

describe('abortSignalOf', () => {
  it('is aborted with it, also when that was before', () => {
    const canceller = new Canceller();
    const early = abortSignalOf(canceller);
    assert.equal(early.aborted, false);
    canceller.abort('gone');
    assert.equal(early.reason, 'gone');
    assert.equal(abortSignalOf(canceller).reason, 'gone');
  });

  it('is the signal itself where it is one', () => {
    const { signal } = new AbortController();
    assert.equal(abortSignalOf(signal), signal);
  });
});
