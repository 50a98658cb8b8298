/** `bare-node.ts WORKERS`: a Node process that does nothing in as many threads, to see what Node itself takes. */
import { Worker } from 'node:worker_threads';

const count = Number(process.argv[2]);
const idle = 'setInterval(() => undefined, 60_000)';
await Promise.all(
  Array.from({ length: count }, async () => {
    const worker = new Worker(idle, { eval: true });
    await new Promise((resolve) => worker.once('online', resolve));
  }),
);
console.log('up');
