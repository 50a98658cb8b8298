/** What is in use, for tests of what stays: by a collection that is asked for, so the number is no guess. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** Everything that is still in use, in the heap and beside it. */
export async function heldBytes(): Promise<number> {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  // Finalisers of buffers run between turns.
  for (let turn = 0; turn < 3; turn += 1) {
    collect();
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}
