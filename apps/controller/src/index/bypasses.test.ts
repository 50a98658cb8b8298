import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type MeshObject, objectKey, parseObject } from '@ambit/api';
import { FakeClock } from '@ambit/core/testing';
import { type BypassChange, Bypasses } from './bypasses.ts';

const START_MS = Date.UTC(2026, 0, 31, 12);

function namespaceUntil(name: string, untilMs?: number, sinceMs = START_MS): MeshObject {
  const annotations =
    untilMs === undefined
      ? {}
      : {
          'ambit.io/bypass-until': new Date(untilMs).toISOString(),
          'ambit.io/bypass-since': new Date(sinceMs).toISOString(),
          'ambit.io/bypass-by': 'ada',
          'ambit.io/bypass-reason': 'test',
        };
  const { object } = parseObject({
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name, annotations },
  });
  assert.ok(object);
  return object;
}

/** In steps, so that whoever woke can sleep again. */
async function pass(clock: FakeClock, ms: number): Promise<void> {
  for (let left = ms; left > 0; left -= 1_000) {
    clock.advance(Math.min(left, 1_000));
    await new Promise(setImmediate);
  }
}

function bed() {
  const clock = new FakeClock({ wallStartMs: START_MS });
  const objects = new Map<string, MeshObject>();
  const over: BypassChange[] = [];
  const bypasses = new Bypasses({ objects, clock, onOver: (change) => over.push(change) });
  const put = (name: string, untilMs?: number, sinceMs?: number): BypassChange => {
    const object = namespaceUntil(name, untilMs, sinceMs);
    objects.set(objectKey(object), object);
    return bypasses.update([objectKey(object), `Pod/${name}/x`]);
  };
  return { clock, objects, over, bypasses, put };
}

describe('Bypasses', () => {
  it('ends each at its time, without anybody', async () => {
    const { clock, over, bypasses, put } = bed();
    assert.deepEqual(put('a', START_MS + 600_000), { add: ['a'], remove: [] });
    assert.deepEqual(put('b', START_MS + 100_000), { add: ['b'], remove: [] });
    await pass(clock, 99_000);
    assert.deepEqual(over, []);
    await pass(clock, 1_000);
    assert.deepEqual(over, [{ add: [], remove: ['b'] }]);
    await pass(clock, 500_000);
    assert.deepEqual(over.at(-1), { add: [], remove: ['a'] });
    assert.equal(bypasses.open.size, 0);
  });

  it('opens nothing before its time, however far away that is', async () => {
    const { clock, over, bypasses, put } = bed();
    const inTenYears = START_MS + 10 * 365 * 86_400_000;
    assert.deepEqual(put('a', inTenYears + 60_000, inTenYears), { add: [], remove: [] });
    const inAnHour = START_MS + 3_600_000;
    assert.deepEqual(put('b', inAnHour + 60_000, inAnHour), { add: [], remove: [] });
    assert.deepEqual(put('c', START_MS + 60_000, START_MS + 1_000), { add: ['c'], remove: [] });
    await pass(clock, 3_299_000);
    assert.deepEqual(over, [{ add: [], remove: ['c'] }]);
    await pass(clock, 1_000);
    assert.deepEqual(over.at(-1), { add: ['b'], remove: [] }, 'clocks differ by minutes');
    await pass(clock, 360_000);
    assert.deepEqual(over.at(-1), { add: [], remove: ['b'] });
    assert.equal(bypasses.open.size, 0);
    bypasses.stop();
  });

  it('ends earlier when the annotations go, and with the namespace', () => {
    const { bypasses, objects, put } = bed();
    put('a', START_MS + 600_000);
    assert.deepEqual(put('a', undefined), { add: [], remove: ['a'] });
    put('a', START_MS + 600_000);
    objects.clear();
    assert.deepEqual(bypasses.update(['Namespace/a']), { add: [], remove: ['a'] });
    bypasses.stop();
  });

  it('goes on when it is made longer', async () => {
    const { clock, over, bypasses, put } = bed();
    put('a', START_MS + 60_000);
    assert.deepEqual(put('a', START_MS + 120_000), { add: [], remove: [] });
    await pass(clock, 60_000);
    assert.deepEqual(over, []);
    await pass(clock, 60_000);
    assert.deepEqual(over, [{ add: [], remove: ['a'] }]);
    bypasses.stop();
  });

  it('opens nothing that is over', () => {
    const { put } = bed();
    assert.deepEqual(put('a', START_MS), { add: [], remove: [] });
    assert.deepEqual(put('a', START_MS - 1), { add: [], remove: [] });
  });

  it('says nothing after it was stopped', async () => {
    const { clock, over, bypasses, put } = bed();
    put('a', START_MS + 1_000);
    bypasses.stop();
    await pass(clock, 2_000);
    assert.deepEqual(over, []);
  });
});
