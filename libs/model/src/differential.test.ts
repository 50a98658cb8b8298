/**
 * The differential oracle: whatever order objects came, changed and went in, the model must say what a
 * model that was built from the last state alone says; and its deltas, replayed, must give the same.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { MeshObject, ObjectKey } from '@ambit/api';
import fc from 'fast-check';

import { type MeshBatch, MeshModel } from './mesh-model.ts';
import { keyOf } from './objects/keys.ts';
import { OPTIONS, uid } from './objects.testing.ts';
import type { MeshOutputs } from './types.ts';
import { SPACES, universe } from './universe.testing.ts';

const HEARING = { ...OPTIONS, hearsAgents: true };
const OBJECTS = universe();
const UIDS = SPACES.flatMap((space) => ['a', 'b', 'c'].map((name) => uid(name, space)));

type Operation =
  | { readonly kind: 'upsert'; readonly object: number }
  | { readonly kind: 'remove'; readonly object: number }
  | { readonly kind: 'refuse'; readonly object: number }
  | { readonly kind: 'capture' | 'release'; readonly uid: number };

const operation: fc.Arbitrary<Operation> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant('upsert' as const),
      object: fc.nat(OBJECTS.length - 1),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('remove' as const),
      object: fc.nat(OBJECTS.length - 1),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('refuse' as const),
      object: fc.nat(OBJECTS.length - 1),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constantFrom('capture' as const, 'release' as const),
      uid: fc.nat(UIDS.length - 1),
    }),
  },
);

const KINDS = [
  'addresses',
  'authorizations',
  'enrolments',
  'pods',
  'waypoints',
  'scopes',
  'objects',
  'statuses',
] as const;
const FINDINGS = [{ code: 'X', severity: 'error', path: '', message: 'is wrong' }] as const;

function plain(outputs: MeshOutputs): Record<string, unknown> {
  return Object.fromEntries(KINDS.map((kind) => [kind, sorted(outputs[kind])]));
}

function sorted(map: ReadonlyMap<string, unknown>): ReadonlyMap<string, unknown> {
  return new Map([...map].sort(([a], [b]) => (a < b ? -1 : 1)));
}

class Run {
  readonly model = new MeshModel(HEARING);
  readonly replica: Record<string, Map<string, unknown>> = Object.fromEntries(
    KINDS.map((kind) => [kind, new Map()]),
  );
  readonly #objects = new Map<ObjectKey, MeshObject>();
  readonly #refused = new Set<ObjectKey>();
  readonly #captured = new Set<string>();
  #batches = 0;

  /** What is not taken leaves nothing. */
  #refuse(batch: MeshBatch): void {
    const refuse = (): never => {
      throw new Error('not taken');
    };
    assert.throws(() => this.model.apply(batch, refuse), /not taken/);
  }

  apply(operations: readonly Operation[]): void {
    // Objects of one key in one batch: the last wins, as in a source.
    const upserts = new Map<ObjectKey, MeshObject>();
    const removes = new Set<ObjectKey>();
    const refuses = new Set<ObjectKey>();
    for (const step of operations) {
      if ('uid' in step) {
        const name = UIDS[step.uid] ?? '';
        if (step.kind === 'capture') this.#captured.add(name);
        else this.#captured.delete(name);
        continue;
      }
      const object = OBJECTS[step.object];
      if (object === undefined) continue;
      const key = keyOf(object);
      refuses.delete(key);
      upserts.delete(key);
      if (step.kind === 'upsert') upserts.set(key, object);
      else if (step.kind === 'remove') removes.add(key);
      else refuses.add(key);
    }
    for (const key of removes) {
      this.#objects.delete(key);
      this.#refused.delete(key);
    }
    for (const [key, object] of upserts) {
      this.#objects.set(key, object);
      this.#refused.delete(key);
    }
    for (const key of refuses) this.#refused.add(key);
    const batch = {
      upserts: [...upserts.values()],
      removes: [...removes],
      invalid: [...refuses].map((key) => ({ key, findings: FINDINGS })),
      captured: {
        add: [...this.#captured],
        remove: UIDS.filter((name) => !this.#captured.has(name)),
      },
    };
    this.#batches += 1;
    if (this.#batches % 2 === 0) this.#refuse(batch);
    const delta = this.model.apply(batch);
    for (const kind of KINDS) {
      for (const key of delta[kind].removed) this.replica[kind]?.delete(key);
      for (const key of delta[kind].changed) {
        this.replica[kind]?.set(key, this.model.outputs[kind].get(key));
      }
    }
  }

  fromScratch(): MeshOutputs {
    const fresh = new MeshModel(HEARING, this.model.pending);
    fresh.apply({
      upserts: [...this.#objects.values()],
      invalid: [...this.#refused].map((key) => ({ key, findings: FINDINGS })),
      captured: { add: [...this.#captured] },
    });
    return fresh.outputs;
  }
}

describe('MeshModel against a model built from scratch', () => {
  it('says the same after any operations, and its deltas replay to the same', () => {
    const first = fc.array(fc.nat(OBJECTS.length - 1), {
      minLength: 20,
      maxLength: 60,
      size: 'max',
    });
    const batches = fc.array(fc.array(operation, { minLength: 1, maxLength: 6, size: 'max' }), {
      minLength: 8,
      maxLength: 30,
      size: 'max',
    });
    fc.assert(
      fc.property(first, batches, (world, all) => {
        const run = new Run();
        run.apply(world.map((object) => ({ kind: 'upsert', object })));
        for (const operations of all) run.apply(operations);
        const expected = plain(run.fromScratch());
        assert.deepEqual(plain(run.model.outputs), expected);
        for (const kind of KINDS) {
          assert.deepEqual(
            sorted(run.replica[kind] ?? new Map()),
            expected[kind],
            `replay of ${kind}`,
          );
        }
      }),
      { numRuns: 150 },
    );
  });
});
