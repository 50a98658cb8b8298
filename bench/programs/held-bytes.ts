/** Tells who started this program what it holds: each line on stdin is answered with the bytes that two collections leave. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** `forget`: drops what only the measurement keeps, and what is kept to be used again. */
export function tellHeldBytes(forget: () => void): void {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  process.stdin.on('data', () => {
    forget();
    // What buffers took is given up by the collection after the one that found them dead.
    collect();
    collect();
    const { heapUsed, external } = process.memoryUsage();
    console.log(`held ${heapUsed + external}`);
  });
}
