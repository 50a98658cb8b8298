import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { FakeClock } from '@ambit/core/testing';
import type { Condition, MeshOutputs, ObjectStatus } from '@ambit/model';

import type { Enforcement } from './enforcement.ts';
import type { StateFile } from './state-file.ts';
import { StatusBook } from './status-book.ts';

const KEY = 'AuthorizationPolicy/shop/p';

function rig() {
  const world = { generation: 1, status: 'True', evaluations: 0 };
  const condition = (type: string, status: string): Condition => ({
    type,
    status: status as Condition['status'],
    reason: '',
    message: '',
    observedGeneration: world.generation,
  });
  const statuses = (): ReadonlyMap<string, ObjectStatus> =>
    new Map([[KEY, { key: KEY, conditions: [condition('Accepted', 'True')], findings: [] }]]);
  const enforcement = {
    evaluate: () => {
      world.evaluations += 1;
      return new Map([[KEY, condition('Enforced', world.status)]]);
    },
  } as unknown as Enforcement;
  const file = {
    write: () => undefined,
    flush: () => Promise.resolve(),
  } as unknown as StateFile<readonly ObjectStatus[]>;
  const outputs = (): MeshOutputs => ({ statuses: statuses() }) as unknown as MeshOutputs;
  const clock = new FakeClock();
  const book = new StatusBook({ clock, outputs, enforcement, file });
  const enforced = (): string => {
    const found = book.of(KEY)?.conditions.find(({ type }) => type === 'Enforced');
    return `${found?.status} of ${found?.observedGeneration}`;
  };
  return { world, clock, book, enforced };
}

describe('StatusBook', () => {
  // For a moment after an edit it was True, of the generation before.
  it('answers at once for a change that was not evaluated yet', () => {
    const { world, book, enforced } = rig();
    book.touch();
    assert.equal(enforced(), 'True of 1');
    world.generation = 2;
    world.status = 'Unknown';
    book.touch();
    assert.equal(enforced(), 'Unknown of 2');
    assert.equal(book.all()[0]?.conditions.length, 2);
  });

  it('evaluates once for many changes, and not at all for none', async () => {
    const { world, clock, book, enforced } = rig();
    for (let count = 0; count < 10; count += 1) book.touch();
    clock.advance(20);
    await new Promise(setImmediate);
    assert.equal(world.evaluations, 1);
    enforced();
    book.all();
    assert.equal(world.evaluations, 1);
  });
});
