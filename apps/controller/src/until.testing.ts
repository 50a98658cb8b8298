/** Waits for what will become true. Tests only. */
import assert from 'node:assert/strict';

import { systemClock } from '@ambit/core';

const WAIT_MS_MAX = 30_000;
const ASK_AGAIN_MS = 10;

/** Fails with `what`, by default the claim as it is written, when it is not true after 30 s. */
export async function until(
  isTrue: () => boolean | Promise<boolean>,
  what: string | (() => string) = String(isTrue),
  waitMsMax = WAIT_MS_MAX,
): Promise<void> {
  const end = systemClock.now() + waitMsMax;
  while (!(await isTrue())) {
    if (systemClock.now() > end) {
      assert.fail(`not within ${waitMsMax} ms: ${typeof what === 'string' ? what : what()}`);
    }
    await systemClock.sleep(ASK_AGAIN_MS);
  }
}
