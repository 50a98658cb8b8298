import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { FakeClock } from '@ambit/core/testing';
import type { Condition, MeshOutputs, ObjectStatus } from '@ambit/model';

import type { StateFile } from './state-file.ts';
import { StatusBook } from './status-book.ts';

const KEY = 'AuthorizationPolicy/shop/p';

function rig() {
  const world = { generation: 1, status: 'True', evaluations: 0, isGone: false, costMs: 0 };
  const condition = (type: string, status: string): Condition => ({
    type,
    status: status as Condition['status'],
    reason: '',
    message: '',
    observedGeneration: world.generation,
  });
  const known = new Map<number, ReadonlyMap<string, ObjectStatus>>();
  const statuses = (): ReadonlyMap<string, ObjectStatus> => {
    if (world.isGone) return new Map();
    const status = { key: KEY, conditions: [condition('Accepted', 'True')], findings: [] };
    const found = known.get(world.generation) ?? new Map([[KEY, status]]);
    known.set(world.generation, found);
    return found;
  };
  const clock = new FakeClock();
  let said: Condition | undefined;
  const enforcement = {
    get conditions() {
      return new Map(said === undefined ? [] : [[KEY, said]]);
    },
    evaluate: () => {
      world.evaluations += 1;
      clock.advance(world.costMs);
      const before = said?.status;
      said = condition('Enforced', world.status);
      return new Set(said.status === before ? [] : [KEY]);
    },
  };
  const file = {
    write: () => undefined,
    flush: () => Promise.resolve(),
  } as unknown as StateFile<readonly ObjectStatus[]>;
  const outputs = (): MeshOutputs => ({ statuses: statuses() }) as unknown as MeshOutputs;
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

  it('tells which statuses changed, once, and which are gone', async () => {
    const { world, clock, book } = rig();
    const told: string[] = [];
    book.onChange((keys) => told.push([...keys].join()));
    const turn = async (): Promise<void> => {
      book.touch();
      clock.advance(20);
      await new Promise(setImmediate);
    };
    await turn();
    assert.deepEqual(told, [KEY]);
    await turn();
    assert.deepEqual(told, [KEY]);
    world.status = 'False';
    await turn();
    assert.deepEqual(told, [KEY, KEY]);
    world.isGone = true;
    book.touch([KEY]);
    await turn();
    assert.deepEqual(told, [KEY, KEY, KEY]);
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

  it('takes a tenth of the time at most where evaluation is slow, and comes within a second', async () => {
    const { world, clock, book } = rig();
    const turn = async (ms: number): Promise<number> => {
      const before = world.evaluations;
      book.touch();
      clock.advance(ms);
      await new Promise(setImmediate);
      return world.evaluations - before;
    };
    world.costMs = 50;
    assert.equal(await turn(20), 1);
    assert.equal(await turn(499), 0);
    assert.equal(await turn(1), 1);
    world.costMs = 5_000;
    assert.equal(await turn(500), 1);
    world.costMs = 0;
    assert.equal(await turn(1_000), 1);
    assert.equal(await turn(20), 1);
  });
});
