import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FakeClock } from '@ambit/core/testing';
import { Coalesced } from './coalesced.ts';

async function settle(): Promise<void> {
  for (let i = 0; i < 20; i += 1) {
    await Promise.resolve();
  }
}

describe('Coalesced', () => {
  it('runs once for many askings, and again for one that comes while it runs', async () => {
    const clock = new FakeClock();
    let runs = 0;
    let finish = Promise.withResolvers<void>();
    const job = new Coalesced(clock, 10, async () => {
      runs += 1;
      await finish.promise;
    });
    job.ask();
    job.ask();
    clock.advance(10);
    await settle();
    assert.equal(runs, 1);
    job.ask();
    finish.resolve();
    finish = Promise.withResolvers<void>();
    finish.resolve();
    await settle();
    clock.advance(10);
    await settle();
    assert.equal(runs, 2);
  });

  it('resolves `done` only for a job that began after it was called', async () => {
    const clock = new FakeClock();
    const first = Promise.withResolvers<void>();
    let runs = 0;
    const job = new Coalesced(clock, 10, async () => {
      runs += 1;
      await (runs === 1 ? first.promise : undefined);
    });
    job.ask();
    clock.advance(10);
    await settle();
    let isDone = false;
    void job.done().then(() => {
      isDone = true;
    });
    first.resolve();
    await settle();
    assert.equal(isDone, false, 'the running job may have read the old state');
    clock.advance(10);
    await settle();
    assert.equal(isDone, true);
  });

  it('runs nothing after close, and keeps nobody waiting', async () => {
    const clock = new FakeClock();
    let runs = 0;
    const job = new Coalesced(clock, 10, () => {
      runs += 1;
      return Promise.resolve();
    });
    const waiting = job.done();
    await job.close();
    await waiting;
    await job.done();
    job.ask();
    clock.advance(100);
    await settle();
    assert.equal(runs, 0);
  });
});
