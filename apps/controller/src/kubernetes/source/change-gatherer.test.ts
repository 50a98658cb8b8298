import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { type MeshObject, parseObject } from '@ambit/api';
import { FakeClock } from '@ambit/core/testing';

import type { SourceChange } from '../../source/config-source.ts';
import { ChangeGatherer, KEYS_MAX } from './change-gatherer.ts';

const turn = (): Promise<unknown> => new Promise(setImmediate);

function namespace(name: string, labels: Readonly<Record<string, string>> = {}): MeshObject {
  const { object } = parseObject({
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name, labels },
  });
  assert.ok(object);
  return object;
}

const FOUND = [{ code: 'X', severity: 'error', path: '', message: 'is wrong' }] as const;
const A = namespace('a');
const A2 = namespace('a', { x: 'y' });

function bed() {
  const clock = new FakeClock();
  const changes: SourceChange[] = [];
  const failed: string[] = [];
  /** Objects that are not taken. */
  const poison = new Set<string>();
  const stopping = new AbortController();
  const { signal } = stopping;
  const gatherer = new ChangeGatherer({
    clock,
    signal,
    onChange: (change) => {
      if (change.upserts.some(({ metadata }) => poison.has(metadata.name))) throw new Error('no');
      changes.push(change);
    },
    onFailure: (key) => failed.push(key),
  });
  const pass = async (ms: number): Promise<void> => {
    clock.advance(ms);
    await turn();
  };
  return { clock, changes, failed, poison, gatherer, stopping, pass };
}

describe('ChangeGatherer', () => {
  it('hands out nothing before it is released, and then all at once', async () => {
    const { gatherer, changes, pass } = bed();
    for (let n = 0; n < KEYS_MAX * 2; n += 1) gatherer.accepted(`k/${n}`, A, []);
    await pass(1_000);
    assert.equal(changes.length, 0);
    gatherer.release();
    assert.deepEqual([changes.length, changes[0]?.upserts.length], [1, KEYS_MAX * 2]);
  });

  it('gathers what comes within a moment', async () => {
    const { gatherer, changes, pass } = bed();
    gatherer.release();
    gatherer.accepted('a', A, []);
    await pass(5);
    gatherer.removed('b');
    assert.equal(changes.length, 1);
    await pass(5);
    assert.deepEqual([changes[1]?.upserts, changes[1]?.removes], [[A], ['b']]);
    await pass(1_000);
    assert.equal(changes.length, 2, 'nothing came, nothing is told');
    gatherer.unsupported('c', 'no');
    await pass(10);
    assert.deepEqual(changes[2]?.unsupported, [{ key: 'c', message: 'no' }]);
  });

  it('waits for no timer once there is much', () => {
    const { gatherer, changes } = bed();
    gatherer.release();
    for (let n = 0; n < KEYS_MAX; n += 1) gatherer.removed(`k/${n}`);
    assert.equal(changes[1]?.removes.length, KEYS_MAX);
  });

  for (const [title, say, expected] of [
    [
      'the last version',
      (g: ChangeGatherer) => {
        g.accepted('a', A, []);
        g.accepted('a', A2, FOUND);
      },
      { upserts: [A2], notes: [{ key: 'a', findings: FOUND }] },
    ],
    [
      'made again after its going',
      (g: ChangeGatherer) => {
        g.accepted('a', A, []);
        g.removed('a');
        g.accepted('a', A2, []);
      },
      { removes: ['a'], upserts: [A2], notes: [{ key: 'a', findings: [] }] },
    ],
    [
      'gone after all',
      (g: ChangeGatherer) => {
        g.accepted('a', A, []);
        g.refused('a', FOUND);
        g.removed('a');
      },
      { removes: ['a'] },
    ],
    [
      'refused while the accepted version was not told yet',
      (g: ChangeGatherer) => {
        g.accepted('a', A, []);
        g.refused('a', FOUND);
      },
      {
        upserts: [A],
        notes: [{ key: 'a', findings: [] }],
        invalid: [{ key: 'a', findings: FOUND }],
      },
    ],
    [
      'refused with what is in force instead',
      (g: ChangeGatherer) => g.refused('a', FOUND, A),
      { upserts: [A], invalid: [{ key: 'a', findings: FOUND }] },
    ],
    [
      'refused, of a revision',
      (g: ChangeGatherer) => g.refused('a', FOUND, undefined, { revision: 'theirs' }),
      { invalid: [{ key: 'a', findings: FOUND, revision: 'theirs' }] },
    ],
    [
      'corrected at once',
      (g: ChangeGatherer) => {
        g.refused('a', FOUND, A);
        g.accepted('a', A2, []);
      },
      { upserts: [A2], notes: [{ key: 'a', findings: [] }] },
    ],
  ] as const) {
    it(`takes the last word on a key: ${title}`, () => {
      const { gatherer, changes } = bed();
      say(gatherer);
      gatherer.release();
      const nothing = { upserts: [], removes: [], invalid: [], notes: [], unsupported: [] };
      assert.deepEqual(changes, [{ ...nothing, ...expected }]);
    });
  }

  it('lets one that is not taken hold up no other', async () => {
    const { gatherer, changes, failed, poison, pass } = bed();
    poison.add('b');
    gatherer.release();
    gatherer.accepted('Namespace/a', A, []);
    gatherer.accepted('Namespace/b', namespace('b'), []);
    gatherer.removed('Namespace/c');
    await pass(10);
    assert.deepEqual(failed, ['Namespace/b']);
    const told = changes.slice(1).flatMap(({ upserts, removes }) => [...upserts, ...removes]);
    assert.deepEqual(told, [A, 'Namespace/c']);
    gatherer.accepted('Namespace/b', namespace('b'), []);
    poison.clear();
    await pass(10);
    assert.equal(changes.at(-1)?.upserts[0]?.metadata.name, 'b');
    const first = bed();
    first.poison.add('a');
    first.gatherer.accepted('Namespace/a', A, []);
    assert.throws(
      () => first.gatherer.release(),
      /no/,
      'without all that exists nothing is served',
    );
  });

  it('says nothing any more when it is stopped', async () => {
    const { gatherer, changes, stopping, pass } = bed();
    gatherer.release();
    gatherer.accepted('a', A, []);
    stopping.abort();
    await pass(100);
    gatherer.release();
    assert.equal(changes.length, 1);
  });
});
