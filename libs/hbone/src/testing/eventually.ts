/** Waits for what is on loopback, without a clock. */
import assert from 'node:assert/strict';

const TURNS = 20;
const LOOKS_MAX = 2_000;

/** Time for what is on loopback to arrive. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < TURNS; turn += 1) {
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
}

/** Fails, by `what`, when it is not true after a long while. */
export async function eventually(isTrue: () => boolean, what = String(isTrue)): Promise<void> {
  for (let looks = 0; looks < LOOKS_MAX && !isTrue(); looks += 1) {
    await settle();
  }
  assert.ok(isTrue(), what);
}
