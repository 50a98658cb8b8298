import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FakeClock } from '@ambit/core/testing';
import type { Logger } from '@ambit/telemetry';
import { type CaptureOptions, DEFAULT_PROBE_SOURCES } from '../capture/rules.ts';
import { type CaptureSteps, PodCapture, RELEASE_GRACE_MS } from './pod-capture.ts';

const OPTIONS: CaptureOptions = {
  dnsCapture: true,
  bypassInbound: false,
  virtualInterfaces: [],
  probeSources: DEFAULT_PROBE_SOURCES,
};
const IN = { mode: 'ambient', options: OPTIONS } as const;
const OUT = { mode: 'none' } as const;

const SILENT: Logger = {
  line: () => undefined,
  error: () => undefined,
  warn: () => undefined,
  info: () => undefined,
  debug: () => undefined,
  trace: () => undefined,
  isEnabled: () => false,
  scoped: () => SILENT,
};

/** Notes every step; `failures` are thrown by the next steps of that name. */
class FakeSteps implements CaptureSteps {
  readonly done: string[] = [];
  readonly failures: string[] = [];
  carried = 0;
  leftovers = false;

  listen(): Promise<void> {
    return this.#do('listen');
  }
  applyRules({ dnsCapture }: CaptureOptions): Promise<void> {
    return this.#do(dnsCapture ? 'apply' : 'apply-without-dns');
  }
  releaseRules(): Promise<void> {
    return this.#do('release');
  }
  unlisten(): Promise<void> {
    return this.#do('unlisten');
  }
  carriedConnections(): number {
    return this.carried;
  }
  removeRules(): Promise<void> {
    return this.#do('remove');
  }
  hasRules(): Promise<boolean> {
    return Promise.resolve(this.leftovers);
  }

  #do(step: string): Promise<void> {
    const at = this.failures.indexOf(step);
    if (at !== -1) {
      this.failures.splice(at, 1);
      return Promise.reject(new Error(`${step} failed`));
    }
    this.done.push(step);
    return Promise.resolve();
  }
}

function setUp() {
  const clock = new FakeClock();
  const steps = new FakeSteps();
  const states: string[] = [];
  const capture = new PodCapture({
    uid: 'u',
    clock,
    log: SILENT,
    steps,
    onChange: (state) => states.push(state),
  });
  return { clock, steps, states, capture };
}

/** Lets every promise that can go on go on. */
async function settle(): Promise<void> {
  for (let i = 0; i < 50; i++) {
    await Promise.resolve();
  }
}

describe('PodCapture', () => {
  it('opens listeners before rules', async () => {
    const { capture, steps, states } = setUp();
    capture.aim(IN);
    await capture.whenSettled(1000);
    assert.deepEqual(steps.done, ['listen', 'apply']);
    assert.deepEqual(states, ['listening', 'captured']);
    await capture.end();
  });

  it('does nothing for a pod that is not wanted and has no leftovers', async () => {
    const { capture, steps, states } = setUp();
    capture.aim(OUT);
    await capture.whenSettled(1000);
    assert.deepEqual([steps.done, states], [[], []]);
    await capture.end();
  });

  it('takes away what an earlier agent left', async () => {
    const { capture, steps } = setUp();
    steps.leftovers = true;
    capture.aim(OUT);
    await capture.whenSettled(1000);
    await settle();
    assert.deepEqual(steps.done, ['release', 'remove']);
    assert.equal(capture.state, 'idle');
    await capture.end();
  });

  it('does a thing once, however often it is asked', async () => {
    const { capture, steps } = setUp();
    for (let i = 0; i < 3; i++) {
      capture.aim({ mode: 'ambient', options: { ...OPTIONS } });
      await capture.whenSettled(1000);
    }
    assert.deepEqual(steps.done, ['listen', 'apply']);
    await capture.end();
  });

  it('applies changed options without opening listeners again', async () => {
    const { capture, steps, states } = setUp();
    capture.aim(IN);
    await capture.whenSettled(1000);
    capture.aim({ mode: 'ambient', options: { ...OPTIONS, dnsCapture: false } });
    await capture.whenSettled(1000);
    assert.deepEqual(steps.done, ['listen', 'apply', 'apply-without-dns']);
    assert.deepEqual(states, ['listening', 'captured']);
    await capture.end();
  });

  it('releases rules at once, listeners after the grace, the rest when no connection is left', async () => {
    const { capture, steps, clock, states } = setUp();
    capture.aim(IN);
    await capture.whenSettled(1000);
    steps.carried = 1;
    capture.aim(OUT);
    await capture.whenSettled(1000);
    assert.deepEqual(steps.done.slice(2), ['release']);
    clock.advance(RELEASE_GRACE_MS - 1);
    await settle();
    assert.deepEqual(steps.done.slice(2), ['release']);
    clock.advance(1);
    await settle();
    assert.deepEqual(steps.done.slice(2), ['release', 'unlisten']);
    clock.advance(60_000);
    await settle();
    assert.equal(capture.state, 'releasing');
    steps.carried = 0;
    clock.advance(60_000);
    await settle();
    assert.deepEqual(steps.done.slice(2), ['release', 'unlisten', 'remove']);
    assert.deepEqual(states, ['listening', 'captured', 'releasing', 'idle']);
    await capture.end();
  });

  it('captures again in the grace with the listeners that are still open', async () => {
    const { capture, steps } = setUp();
    capture.aim(IN);
    await capture.whenSettled(1000);
    capture.aim(OUT);
    await capture.whenSettled(1000);
    capture.aim(IN);
    await capture.whenSettled(1000);
    assert.deepEqual(steps.done, ['listen', 'apply', 'release', 'apply']);
    assert.equal(capture.state, 'captured');
    await capture.end();
  });

  it('captures again after the listeners were closed', async () => {
    const { capture, steps, clock } = setUp();
    capture.aim(IN);
    await capture.whenSettled(1000);
    steps.carried = 1;
    capture.aim(OUT);
    await capture.whenSettled(1000);
    clock.advance(RELEASE_GRACE_MS);
    await settle();
    capture.aim(IN);
    await capture.whenSettled(1000);
    assert.deepEqual(steps.done, ['listen', 'apply', 'release', 'unlisten', 'listen', 'apply']);
    await capture.end();
  });

  for (const step of ['listen', 'apply', 'release'] as const) {
    it(`tries again when ${step} fails, and says why meanwhile`, async () => {
      const { capture, steps, clock } = setUp();
      steps.failures.push(step, step);
      capture.aim(IN);
      if (step === 'release') {
        await capture.whenSettled(1000);
        capture.aim(OUT);
      }
      await settle();
      assert.match(capture.lastError?.message ?? '', new RegExp(`${step} failed`));
      const late = capture.whenSettled(10);
      clock.advance(10);
      await assert.rejects(late, {
        code: 'AGENT_CAPTURE_TIMEOUT',
        message: new RegExp(`${step} failed`),
      });
      for (let i = 0; i < 3; i++) {
        clock.advance(15_000);
        await settle();
      }
      await capture.whenSettled(1000);
      assert.equal(capture.lastError, undefined);
      await capture.end();
    });
  }

  it('rejects who waits when the pod goes, and touches nothing then', async () => {
    const { capture, steps } = setUp();
    steps.failures.push('listen');
    capture.aim(IN);
    const waiting = capture.whenSettled(1000);
    await settle();
    await capture.end();
    await assert.rejects(waiting, { code: 'AGENT_STOPPED' });
    capture.aim(OUT);
    await settle();
    assert.deepEqual(steps.done, []);
  });
});
