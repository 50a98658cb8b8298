import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type CapturedPodOptions, CapturedPodSteps } from './captured-pod.ts';

const REASON = new Error('the agent ends');

describe('CapturedPodSteps', () => {
  it('opens no listeners where the wait for a certificate was ended', async () => {
    const over = new AbortController();
    const options = {
      pod: { uid: 'u' },
      certificates: { warm: async () => over.abort(REASON) },
      workers: {
        get size(): number {
          throw new Error('listeners are opened');
        },
      },
    };
    const steps = new CapturedPodSteps(options as unknown as CapturedPodOptions);
    await assert.rejects(steps.listen(over.signal), REASON);
  });
});
